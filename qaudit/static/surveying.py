"""A path on disk as a list of files, each with its kind; nothing outside of it is followed or opened.

One file that is named stands for itself, or for all files of its split set. A folder of a hub's cache
shows its files as links to `blobs` beside it; these are the cache's own and no links of the download.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qaudit.checkpoints.file_stamps import Stamp, file_stamp
from qaudit.checkpoints.folder_files import DEPTH_LIMIT, FILE_LIMIT
from qaudit.checkpoints.shard_names import set_of_name
from qaudit.errors import InputError
from qaudit.files import unreadable
from qaudit.findings import Surface
from qaudit.static.byte_source import LocalBytes
from qaudit.static.folder_view import Entry, FileKind, FolderView
from qaudit.static.kinds import HEAD_BYTES, kind_of

# at the top of a folder, and what it is; nothing that loads a model looks there by itself
BOOKKEEPING = {
    ".git": "version control",
    ".cache/huggingface": "what the hub's library knows of its download",
    ".qaudit": "qaudit's own signatures and reports",
}


@dataclass(frozen=True, slots=True)
class FileOnDisk:
    """Opens one file, the same each time: another one in its place is refused.

    Attributes:
        path: where its bytes lie, with no link on the way that was not looked at.
        name: its path in the download.
        stamp: device, inode, size and time of change when it was listed.
    """

    path: Path
    name: str
    stamp: Stamp

    def __call__(self) -> LocalBytes:
        """Open it.

        Raises:
            InputError: it cannot be read, or is no longer the file that was listed.
        """
        source = LocalBytes(self.path, self.name)
        if source.stamp != self.stamp:
            source.close()
            raise InputError(f"{self.path}: changed since it was listed; use a copy that nobody writes to")
        return source

    @property
    def unchanged(self) -> bool:
        """Whether the file on disk is still the one that was listed."""
        try:
            return file_stamp(os.stat(self.path)) == self.stamp
        except OSError:
            return False


def survey(path: Path) -> FolderView:
    """List a file, the split set that it is of, or everything in a folder.

    Raises:
        InputError: the path cannot be read, or is neither file nor folder.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        return _folder(path)
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: is not a regular file or folder; give a file on disk")
    return FolderView(path.name, tuple(_named(file) for file in _set_of(path)), single=True)


def _set_of(path: Path) -> list[Path]:
    """Return the files of the split set that a name belongs to, as far as they are there."""
    names = set_of_name(path.name)
    return [shard for name in names if (shard := path.with_name(name)) == path or shard.is_file()]


def _named(path: Path) -> Entry:
    # whoever names a link means the file that it leads to
    return _file(Path(os.path.realpath(path)), path.name)


def _folder(path: Path) -> FolderView:
    root = Path(os.path.realpath(path))
    entries: list[Entry] = []
    left_out: list[Surface] = []
    for found in _walked(root, root, "", left_out):
        if len(entries) >= FILE_LIMIT:
            left_out.append(Surface("", "folder", "partial", f"more than {FILE_LIMIT} files; no more listed"))
            break
        entries.append(found)
    entries.sort(key=lambda entry: entry.path)
    return FolderView(path.name or str(path), tuple(entries), left_out=tuple(left_out))


def _walked(root: Path, folder: Path, prefix: str, left_out: list[Surface]) -> Iterator[Entry]:
    """Yield every file and link; folders are gone into from a list, so that no depth can end us."""
    waiting = [(folder, prefix, 0)]
    blobs = _blobs_beside(root)
    while waiting:
        here, start, depth = waiting.pop()
        try:
            with os.scandir(here) as listing:
                for item in listing:
                    name = start + item.name
                    if item.is_dir(follow_symlinks=False):
                        if (what := BOOKKEEPING.get(name)) is not None:
                            left_out.append(Surface(name, "bookkeeping", "skipped", what))
                        elif depth >= DEPTH_LIMIT:
                            why = f"more than {DEPTH_LIMIT} folders deep; not gone into"
                            left_out.append(Surface(name, "folder", "skipped", why))
                        else:
                            waiting.append((Path(item.path), f"{name}/", depth + 1))
                    else:
                        yield _entry(item, name, root, blobs)
        except OSError as error:
            why = f"cannot be listed ({error.strerror}); check its permissions"
            left_out.append(Surface(start, "folder", "skipped", why))


def _entry(item: "os.DirEntry[str]", name: str, root: Path, blobs: Path | None) -> Entry:
    if not item.is_symlink():
        return _file(Path(item.path), name)
    link = os.readlink(item.path)
    target = Path(os.path.realpath(item.path))
    if blobs is not None and target.parent == blobs:
        return _file(target, name)
    if not target.is_relative_to(root):
        return Entry(name, 0, "other", None, link=link, escapes=True)
    if not target.is_file():
        return Entry(name, 0, "other", None, link=link)
    plain = _file(target, name)
    return Entry(name, plain.size, plain.kind, plain.open, link=link)


def _file(path: Path, name: str) -> Entry:
    """Look at the first bytes of a file; what cannot be opened is listed all the same."""
    try:
        status = os.lstat(path)
    except OSError:
        return Entry(name, 0, "other", None)
    if not stat.S_ISREG(status.st_mode):
        return Entry(name, 0, "other", None)
    opener = FileOnDisk(path, name, file_stamp(status))
    try:
        with opener() as source:
            kind: FileKind = kind_of(name, source.read_at(0, HEAD_BYTES))
    except InputError:
        return Entry(name, status.st_size, "other", None)
    return Entry(name, status.st_size, kind, opener)


def _blobs_beside(root: Path) -> Path | None:
    """Return the folder that the links of a hub cache's `models--org--name/snapshots/COMMIT` lead to."""
    for folder in (root, *root.parents):
        if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
            blobs = folder.parent.parent / "blobs"
            return blobs if blobs.is_dir() and not blobs.is_symlink() else None
    return None
