"""Is this file still the one that was parsed? Between a header and its rows, someone may swap it."""

import os
from pathlib import Path

from qaudit.errors import InputError
from qaudit.files import open_regular, unreadable

Stamp = tuple[int, int, int, int]


def file_stamp(status: os.stat_result) -> Stamp:
    """Return (device, inode, size, modification time in ns): another one is another or a changed file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def require_stamp(path: Path, stamp: Stamp) -> None:
    """Check a file by its path.

    Raises:
        InputError: it was replaced, written to or removed.
    """
    try:
        now = file_stamp(path.stat())
    except OSError as error:
        raise unreadable(path, error) from error
    if now != stamp:
        raise _changed(path)


def read_stamped(path: Path, stamp: Stamp, offset: int, size: int) -> bytes:
    """Return `size` bytes from `offset` of the file that has this stamp.

    Raises:
        InputError: it cannot be read, or is not that file any more.
    """
    with open_regular(path) as stream:
        try:
            stream.seek(offset)
            data = stream.read(size)
            now = file_stamp(os.fstat(stream.fileno()))
        except OSError as error:
            raise unreadable(path, error) from error
    if now != stamp or len(data) != size:
        raise _changed(path)
    return data


def _changed(path: Path) -> InputError:
    return InputError(f"{path}: changed since it was opened; use a copy that nobody writes to")
