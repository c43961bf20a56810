"""Reading with bounds, writing all or nothing, hashing: the file habits that every room shares."""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from qaudit.errors import InputError, LimitExceeded, OutputProblem

# mkstemp's 0600 would hide reports from their readers. The mask can only be read by setting it, which
# is done once, here: two threads at it could leave the process without one
_UMASK = os.umask(0o077)
os.umask(_UMASK)
SHOWN_NAME = 40  # of the final name in the temporary one, so that a long name still fits
SHOWN_LONG_NAME = 200


def sha256_bytes(data: bytes) -> str:
    """Return the lower-case hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def open_regular(path: Path) -> BufferedReader:
    """Open a file on disk for reading; a pipe or device, which may never end, is refused.

    Raises:
        InputError: the file cannot be read or is not a regular file.
    """
    stream = _open(path)
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise InputError(f"{path}: is not a regular file; give a file on disk")
    return stream


def sha256_and_size(path: Path) -> tuple[str, int]:
    """Return the lower-case hex SHA-256 of a file, read in a stream, and the number of bytes hashed.

    Raises:
        InputError: the file cannot be read or is not a regular file.
    """
    with open_regular(path) as stream:
        try:
            return hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
        except OSError as error:
            raise unreadable(path, error) from error


def sha256_file(path: Path) -> str:
    """Return the lower-case hex SHA-256 of a file, read in a stream.

    Raises:
        InputError: the file cannot be read or is not a regular file.
    """
    return sha256_and_size(path)[0]


def read_bounded(path: Path, limit: int) -> bytes:
    """Return a file's bytes, refusing more than `limit` bytes before they are in memory.

    A pipe with a writer, such as the shell's `<(command)`, is read to its end; one without is empty.

    Raises:
        InputError: the file cannot be read, or grew while it was read.
        LimitExceeded: the file is longer than `limit`.
    """
    with _open(path) as stream:
        try:
            status = os.fstat(stream.fileno())
            # the size on disk says how much to allocate; a pipe, or a file of /proc, does not tell
            told = stat.S_ISREG(status.st_mode) and status.st_size > 0
            most = status.st_size if told else limit
            data = stream.read(most + 1) if most <= limit else b""
        except OSError as error:
            raise unreadable(path, error) from error
    if most > limit or len(data) > limit:
        raise LimitExceeded(path, f"longer than {limit} bytes", "is it the right file?")
    if told and len(data) > status.st_size:
        raise InputError(f"{path}: grew while it was read; try again when nobody writes to it")
    return data


def unreadable(path: Path, error: OSError | ValueError) -> InputError:
    """Return the error that says that a file cannot be read and why."""
    return InputError(f"{path}: cannot be read ({_reason(error)}); check the path and permissions")


def _open(path: Path) -> BufferedReader:
    try:
        stream = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115 - the callers close it
    except (OSError, ValueError) as error:  # ValueError: a NUL or half a surrogate pair in the name
        raise unreadable(path, error) from error
    return stream


def _open_without_waiting(name: str, flags: int) -> int:
    # a plain open of a pipe waits for a writer who may never come
    handle = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode) and hasattr(os, "set_blocking"):
        os.set_blocking(handle, True)
    return handle


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


@contextlib.contextmanager
def long_names_refused() -> Iterator[None]:
    """Turn the system's complaint about a name that is too long into one that a person can act on.

    Questions such as `Path.exists` answer "no" for most names that cannot be, but raise for these.

    Raises:
        InputError: a name in the block is longer than the system takes.
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        shown = os.fsdecode(error.filename or "a name")
        raise InputError(f"{shown[:SHOWN_LONG_NAME]}…: too long for a name here; check the path") from error


def shared_mode(mode: int) -> int:
    """Return a mode without the bits that this process's mask takes from new files."""
    return mode & ~_UMASK


def make_folder(path: Path) -> None:
    """Make an output folder, and its parents, if it is not there.

    Raises:
        OutputProblem: it cannot be made or is not a folder.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise OutputProblem(
            f"{path}: cannot make the folder ({_reason(error)}); choose another --out"
        ) from error


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file under a temporary name in the same folder, flush it to disk, rename it.

    Text is written as UTF-8; halves of surrogate pairs (bytes of a hostile file that were not UTF-8)
    become the escapes that JSON too has for them.

    Raises:
        OutputProblem: the folder or disk does not allow it, or a device or pipe has that name;
            nothing is left behind.
    """
    with file_written_whole(path) as stream:
        stream.write(data.encode(errors="backslashreplace") if isinstance(data, str) else data)


@contextlib.contextmanager
def file_written_whole(path: Path) -> Iterator[BinaryIO]:
    """Give a temporary file in the same folder to write to; a block that ends well gives it the name.

    It is flushed to disk before it is renamed.

    Raises:
        OutputProblem: the folder or disk does not allow it, or a device or pipe has that name;
            nothing is left behind.
    """
    temporary: Path | None = None
    try:
        try:
            if path.exists() and not path.is_file() and not path.is_dir():
                # renaming over /dev/null or /dev/stdout would take it away from everyone
                raise OutputProblem(f"{path}: is a device or pipe; choose another place")
            import tempfile  # it brings random, and most who import this module only read

            handle, name = tempfile.mkstemp(prefix=f".{path.name[:SHOWN_NAME]}.", dir=path.parent)
        except ValueError as error:  # a NUL or half a surrogate pair in the name
            raise _unwritable(path, error) from error
        temporary = Path(name)
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                temporary.unlink()


@contextlib.contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path` to fill; it takes that name when the block ends without error.

    Its files are flushed to disk first. What was there before is removed, so that no file of it stays
    among the new ones.

    Raises:
        OutputProblem: the place cannot be written, or is no folder; nothing is left behind.
    """
    import shutil
    import tempfile

    try:
        if path.exists() and not path.is_dir():
            raise OutputProblem(f"{path}: is not a folder; choose another place")
        name = f".{path.name[:SHOWN_NAME]}."
        temporary = Path(tempfile.mkdtemp(prefix=name, suffix=".tmp", dir=path.parent))
        filled = temporary / "new"
        filled.mkdir()
        filled.chmod(0o777 & ~_UMASK)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error
    try:
        yield filled
        for file in filled.rglob("*"):
            if file.is_file():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
        if path.exists():
            path.replace(temporary / "old")
        filled.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unwritable(path: Path, error: OSError | ValueError) -> OutputProblem:
    return OutputProblem(f"{path}: cannot write ({_reason(error)}); choose another place or free space")
