"""The files of a checkpoint, listed by ourselves and hashed in parallel.

A signer's list never decides what is looked at: every name under the folder is either a regular
file that gets hashed or a reason to refuse. Only the root `.qaudit/` folder (which may hold the
known sidecar names and nothing else) and the root file `model.sig` are left out.
"""

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path, PurePosixPath

import rfc8785

from qaudit.errors import InputError
from qaudit.files import sha256_bytes
from qaudit.values import FileDigest

SIDECAR_FOLDER = ".qaudit"
BUNDLE_NAME = "audit.sigstore.json"
# what lies with a bundle, in the order of `qaudit.attest.layout.Places`
COMPANIONS = ("report.json", "policy.yaml", "realign.json", "vsa.sigstore.json", "test-result.sigstore.json")
SIDECAR_NAMES = frozenset({BUNDLE_NAME, *COMPANIONS})
OMS_SIGNATURE = "model.sig"
FILE_LIMIT = 100_000
DEPTH_LIMIT = 32
NAME_LIMIT = 1024  # bytes of UTF-8 in a relative name
SPLIT_LIMIT = 10_000
TOLD_BYTES = 16 << 20
THREADS = min(os.cpu_count() or 1, 8)
_SPLIT = re.compile(r"(?P<stem>.+)-(?P<part>[0-9]{5})-of-(?P<parts>[0-9]{5})\.gguf")
# control and format characters, surrogates (bytes that are not UTF-8), line separators
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class UnsignableTree(InputError):
    """A tree holds something that no signature can cover, such as a link or an empty folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One regular file: its name inside the checkpoint and where it lies."""

    name: str
    path: Path


def split_anchor(path: Path) -> Path:
    """Return the first part of a split GGUF file, or the path itself."""
    match = _SPLIT.fullmatch(path.name)
    return path if match is None else path.with_name(_part_name(match, 1))


def list_files(path: Path, ignored: Iterable[PurePosixPath] = ()) -> tuple[Entry, ...]:
    """List every file of a checkpoint, sorted by name.

    Args:
        path: a folder, a file, or any part of a split GGUF file (all parts are listed).
        ignored: relative paths that the *verifier* names to be left out with all below them.

    Raises:
        InputError: nothing is there or it cannot be read.
        UnsignableTree: a symbolic link, special file, empty folder, or a name that is not UTF-8,
            holds control characters or differs from another only by case or accents' encoding.
    """
    mode = _mode(path)
    if stat.S_ISREG(mode):
        entries = [Entry(part.name, part) for part in _parts(path)]
        for entry in entries:
            _check_name(entry.name, entry.path)
            _check_regular(entry.path)
    elif stat.S_ISDIR(mode):
        entries = list(_walk(path, PurePosixPath(), frozenset(ignored)))
    else:
        raise UnsignableTree(_refusal(path, _kind(mode)))
    if not entries:
        raise UnsignableTree(f"{path}: holds no files; there is nothing to sign or verify")
    _refuse_collisions(entries)
    return tuple(sorted(entries, key=lambda entry: entry.name))


def hash_files(
    entries: Iterable[Entry],
    on_file: Callable[[FileDigest], None] | None = None,
    on_read: Callable[[int], None] | None = None,
) -> tuple[FileDigest, ...]:
    """Hash files in parallel threads; the result is in the order given.

    The largest begin first, so that no long one is left for the end while other threads have nothing
    to do. One file is hashed by one thread, as SHA-256 has no parallel form: reading ahead in another
    thread was measured and gains nothing over the kernel's own.

    Args:
        entries: what `list_files` returned.
        on_file: called from this thread after each file, in that order.
        on_read: called from the threads that hash, with how many more bytes were, for a progress display.

    Raises:
        InputError: a file cannot be read.
        UnsignableTree: a file was replaced or changed while it was being read.
    """
    listed = tuple(entries)
    digests: list[FileDigest] = []
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="qaudit-hash")
    try:
        begun = {
            entry: pool.submit(_hash, entry, on_read) for entry in sorted(listed, key=_size, reverse=True)
        }
        for entry in listed:
            digests.append(begun[entry].result())
            if on_file is not None:
                on_file(digests[-1])
    finally:
        # one that fails ends it all; the others would be hashed for nothing
        pool.shutdown(cancel_futures=True)
    return tuple(digests)


def manifest_digest(files: Iterable[FileDigest]) -> str:
    """Return the SHA-256 of the RFC 8785 bytes of `[{name, sha256, size}]`, sorted by name.

    Subjects of a statement are matched by digest only; this figure binds names and sizes too.
    Sizes are decimal strings, as JSON numbers lose digits in some readers.
    """
    rows = sorted(({"name": f.path, "sha256": f.sha256, "size": str(f.size)} for f in files), key=_row_name)
    return sha256_bytes(rfc8785.dumps(rows))


def differences(signed: dict[str, str], found: dict[str, str]) -> tuple[str, ...]:
    """Name every file that is changed, missing, extra or renamed; both map name to SHA-256."""
    changed = sorted(name for name in signed.keys() & found.keys() if signed[name] != found[name])
    missing = sorted(signed.keys() - found.keys())
    extra = sorted(found.keys() - signed.keys())
    renamed: list[str] = []
    by_digest = {found[name]: name for name in reversed(extra)}
    for name in list(missing):
        other = by_digest.pop(signed[name], None)
        if other is not None:
            renamed.append(f"{name}: renamed to {other}")
            missing.remove(name)
            extra.remove(other)
    return (
        *(f"{name}: changed" for name in changed),
        *renamed,
        *(f"{name}: missing" for name in missing),
        *(f"{name}: extra" for name in extra),
    )


def _size(entry: Entry) -> int:
    try:
        return entry.path.lstat().st_size
    except OSError:  # it says so itself when it is opened
        return 0


def _row_name(row: dict[str, str]) -> str:
    return row["name"]


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a usable path"
        raise InputError(f"{str(path)!a}: cannot be read ({reason}); check the path") from error


def _kind(mode: int) -> str:
    return "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"


def _refusal(path: Path, problem: str) -> str:
    # ascii() keeps terminal escapes and broken names out of the message
    shown = str(path) if _printable(str(path)) else ascii(str(path))
    return f"{shown}: {problem}; a signed checkpoint holds regular files only"


def _check_regular(path: Path) -> None:
    mode = _mode(path)
    if not stat.S_ISREG(mode):
        raise UnsignableTree(_refusal(path, _kind(mode)))


def _part_name(match: re.Match[str], part: int) -> str:
    return f"{match['stem']}-{part:05d}-of-{match['parts']}.gguf"


def _parts(path: Path) -> list[Path]:
    match = _SPLIT.fullmatch(path.name)
    if match is None:
        return [path]
    parts = int(match["parts"])
    if not 1 <= int(match["part"]) <= parts <= SPLIT_LIMIT:
        raise UnsignableTree(f"{path}: the part number is out of range; is the name right?")
    return [path.with_name(_part_name(match, part)) for part in range(1, parts + 1)]


def _walk(folder: Path, inside: PurePosixPath, ignored: frozenset[PurePosixPath]) -> Iterator[Entry]:
    if len(inside.parts) > DEPTH_LIMIT:
        raise UnsignableTree(f"{folder}: more than {DEPTH_LIMIT} folders deep; flatten it")
    at_root = not inside.parts
    seen = 0
    for child in _scan(folder):
        name = inside / child.name
        mode = _mode(child)
        if name in ignored:
            seen += 1
            continue
        _check_name(name.as_posix(), child)
        if at_root and child.name == SIDECAR_FOLDER and stat.S_ISDIR(mode):
            _check_sidecar(child)
            continue
        if at_root and child.name == OMS_SIGNATURE and stat.S_ISREG(mode):
            continue
        seen += 1
        if stat.S_ISREG(mode):
            yield Entry(name.as_posix(), child)
        elif stat.S_ISDIR(mode):
            yield from _walk(child, name, ignored)
        else:
            raise UnsignableTree(_refusal(child, _kind(mode)))
    if seen == 0 and not at_root:
        raise UnsignableTree(f"{folder}: an empty folder, which no signature covers; remove it")


def _scan(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            children = []
            for child in found:
                children.append(Path(child.path))
                if len(children) > FILE_LIMIT:
                    raise UnsignableTree(f"{folder}: more than {FILE_LIMIT} files; sign a smaller folder")
            return children
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from error


def _check_sidecar(folder: Path) -> None:
    for child in _scan(folder):
        if child.name not in SIDECAR_NAMES:
            raise UnsignableTree(_refusal(child, f"not a file that {SIDECAR_FOLDER} may hold"))
        _check_regular(child)


def _printable(name: str) -> bool:
    return not any(unicodedata.category(character) in _UNSAFE_CATEGORIES for character in name)


def _check_name(name: str, path: Path) -> None:
    if not _printable(name) or "\\" in name:
        raise UnsignableTree(
            f"{str(path)!a}: the name is not UTF-8 or holds control characters or backslashes; rename it"
        )
    if len(name.encode()) > NAME_LIMIT:
        raise UnsignableTree(f"{path}: the name is longer than {NAME_LIMIT} bytes; shorten it")


def _refuse_collisions(entries: list[Entry]) -> None:
    if len(entries) > FILE_LIMIT:
        raise UnsignableTree(f"more than {FILE_LIMIT} files; sign a smaller folder")
    spellings: dict[str, str] = {
        _folded(SIDECAR_FOLDER): SIDECAR_FOLDER,
        _folded(OMS_SIGNATURE): OMS_SIGNATURE,
    }
    for entry in entries:
        parts = PurePosixPath(entry.name).parts
        # folders collide as well as files: A/x and a/y are one folder on some disks
        for depth in range(1, len(parts) + 1):
            spelling = "/".join(parts[:depth])
            other = spellings.setdefault(_folded(spelling), spelling)
            if other != spelling:
                raise UnsignableTree(f"{entry.path}: its name collides with {other} on some disks; rename it")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class _Watched:
    """A stream that tells how much of it was read, each time that it is `TOLD_BYTES` more, and at its end."""

    def __init__(self, stream: FileIO, on_read: Callable[[int], None]) -> None:
        self._stream, self._on_read, self._untold = stream, on_read, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        count = self._stream.readinto(buffer) or 0
        self._untold += count
        if self._untold >= TOLD_BYTES or (count == 0 and self._untold):
            self._on_read(self._untold)
            self._untold = 0
        return count


def _hash(entry: Entry, on_read: Callable[[int], None] | None) -> FileDigest:
    try:
        # the open itself refuses a link that replaced the file since it was listed
        handle = os.open(entry.path, os.O_RDONLY | _NO_FOLLOW)
        with os.fdopen(handle, "rb", buffering=0) as stream:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise UnsignableTree(_refusal(entry.path, _kind(before.st_mode)))
            watched = stream if on_read is None else _Watched(stream, on_read)
            digest = hashlib.file_digest(watched, "sha256").hexdigest()  # type: ignore[arg-type]
            after = os.fstat(handle)
            read = stream.tell()
    except OSError as error:
        raise InputError(
            f"{entry.path}: cannot be read ({error.strerror}); check the path and permissions"
        ) from error
    if (before.st_size, before.st_mtime_ns, read) != (after.st_size, after.st_mtime_ns, before.st_size):
        raise UnsignableTree(f"{entry.path}: changed while it was being read; leave it alone and run again")
    return FileDigest(entry.name, before.st_size, digest)
