"""Reading with bounds, writing all or nothing, hashing: the file habits that every room shares."""

import hashlib
import os
import tempfile
from pathlib import Path

from qaudit.errors import InputError, LimitExceeded, OutputProblem


def sha256_bytes(data: bytes) -> str:
    """Return the lower-case hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the lower-case hex SHA-256 of a file, read in a stream.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path and permissions"
        ) from error


def read_bounded(path: Path, limit: int) -> bytes:
    """Return a file's bytes, refusing more than `limit` bytes before they are in memory.

    Raises:
        InputError: the file cannot be read.
        LimitExceeded: the file is longer than `limit`.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path and permissions"
        ) from error
    if len(data) > limit:
        raise LimitExceeded(path, f"longer than {limit} bytes", "is it the right file?")
    return data


def make_folder(path: Path) -> None:
    """Make an output folder, and its parents, if it is not there.

    Raises:
        OutputProblem: it cannot be made or is not a folder.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputProblem(
            f"{path}: cannot make the folder ({error.strerror}); choose another --out"
        ) from error


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file under a temporary name in the same folder, flush it to disk, rename it.

    Raises:
        OutputProblem: the folder or disk does not allow it; nothing is left behind.
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise OutputProblem(
            f"{path}: cannot write ({error.strerror}); choose another place or free space"
        ) from error


def _umask() -> int:
    # the mask can only be read by setting it; mkstemp's 0600 would hide reports from their readers
    mask = os.umask(0)
    os.umask(mask)
    return mask
