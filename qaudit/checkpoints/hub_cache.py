"""The hub's own cache folder: where a file lies, whether it is what the hub lists, and how it gets in.

The layout is huggingface_hub's (`models--org--repo/{blobs,snapshots}`), so that what other tools
downloaded is used, and the other way round. Two things differ from what the library does by itself: bytes
get a name in the cache only after their digest was checked, and a download that was cut stays, to be
gone on with.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from qaudit.checkpoints.file_stamps import Stamp, file_stamp
from qaudit.checkpoints.hub_library import unwritable
from qaudit.checkpoints.hub_listing import HubFile, Listing, is_readable
from qaudit.errors import MalformedFile
from qaudit.files import open_regular, sha256_file, unreadable

_CHUNK = 1 << 20
# files that were hashed by this process and not touched since, with the digest that they have
_checked: set[tuple[Stamp, str]] = set()


class RepoCache:
    """One repository's part of the cache.

    Args:
        folder: `models--org--repo`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snapshot(self, commit: str) -> Path:
        """Return the folder that shows a commit's files under their names."""
        return self.folder / "snapshots" / commit

    def pointer(self, commit: str, file: HubFile) -> Path:
        """Return the name of a file in its commit's folder."""
        return self.snapshot(commit).joinpath(*file.path.split("/"))

    def blob(self, file: HubFile) -> Path:
        """Return where a file's bytes lie, named by their digest."""
        return self.folder / "blobs" / file.digest

    def partial(self, file: HubFile) -> Path:
        """Return where bytes are gathered until they are all there and checked."""
        return self.folder / "blobs" / f"{file.digest}.qaudit.incomplete"

    def lock(self, file: HubFile) -> Path:
        """Return the lock under which a file is brought."""
        return self.folder.parent / ".locks" / self.folder.name / f"{file.digest}.qaudit.lock"

    def held(self, commit: str, file: HubFile) -> int:
        """Return how many of a file's bytes need not be downloaded."""
        for path in (self.pointer(commit, file), self.blob(file), self.partial(file)):
            if path.is_file():
                return min(path.stat().st_size, file.size)
        return 0

    def require_sound(self, shown: str, path: Path, file: HubFile, whence: str) -> None:
        """Check a file against the hub's digest; one that fails is removed, so that nobody uses it.

        Args:
            shown: the file as a reference into the hub, for the message.
            path: what is checked: a file, or a link to one.
            file: what the hub lists.
            whence: who gave the bytes, for the message.

        Raises:
            InputError: it cannot be read.
            MalformedFile: it is another file than the hub lists.
        """
        try:
            stamp = file_stamp(path.stat())
        except OSError as error:
            raise unreadable(path, error) from error
        if (stamp, file.digest) not in _checked:
            found = _digest(path, file)
            if found != file.digest:
                self._remove(path)
                kind = "SHA-256" if file.sha256 else "git id"
                raise MalformedFile(
                    shown,
                    f"{whence} has the {kind} {found}, the hub lists {file.digest}",
                    f"{path} was removed: run again to download it afresh; if this stays, mistrust the hub",
                )
            _checked.add((stamp, file.digest))
        size = path.stat().st_size
        if size != file.size:
            raise MalformedFile(
                shown,
                f"has {size} bytes, the hub lists {file.size}",
                "ask the hub's owner: it lies about sizes",
            )

    def place(self, commit: str, file: HubFile) -> None:
        """Show a blob under its name in the commit's folder, as the library does: by a relative link.

        Raises:
            OutputProblem: the cache cannot be written to.
        """
        pointer, blob = self.pointer(commit, file), self.blob(file)
        try:
            pointer.parent.mkdir(parents=True, exist_ok=True)
            if pointer.is_symlink():  # to nothing, or it would not be placed anew
                pointer.unlink()
            try:
                pointer.symlink_to(os.path.relpath(blob, pointer.parent))
            except FileExistsError:
                return  # somebody else placed it; it is checked like any other
            except OSError:  # a file system without links
                blob.replace(pointer)
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def require_no_strangers(self, shown: str, folder: Path, prefix: str, listing: Listing) -> None:
        """Check that a commit's folder shows nothing to read that the commit does not hold.

        Args:
            shown: the reference, for the message.
            folder: a folder of a snapshot.
            prefix: its path in the repository, with a slash at the end, or nothing.
            listing: what the commit holds.

        Raises:
            MalformedFile: somebody put a file there, such as another chat template.
        """
        for path in sorted(folder.iterdir()):
            if is_readable(path.name) and prefix + path.name not in listing.by_path:
                raise MalformedFile(
                    shown, f"the hub lists no {path.name!a:.80} for this commit, yet {path!s:.300} is there",
                    "delete it",
                )  # fmt: skip

    def _remove(self, path: Path) -> None:
        # the name, and the bytes that it leads to where they are in this cache
        root = self.folder.parent.resolve()
        with contextlib.suppress(OSError):
            target = path.resolve()
            path.unlink()
            if target.is_relative_to(root):
                target.unlink(missing_ok=True)


def _digest(path: Path, file: HubFile) -> str:
    if file.sha256:
        return sha256_file(path)
    with open_regular(path) as stream:
        try:
            size = os.fstat(stream.fileno()).st_size
            digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        except OSError as error:
            raise unreadable(path, error) from error
    return digest.hexdigest()
