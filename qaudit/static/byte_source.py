"""Bytes of one file of a download, wherever it lies: on disk, or on a hub of which only ranges are read."""

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from qaudit.checkpoints.file_stamps import file_stamp
from qaudit.errors import InputError
from qaudit.files import open_regular, unreadable


class ByteSource(Protocol):
    """Random access to a file that is never read whole unless a rule asks for that.

    Attributes:
        name: path of the file in the download, with slashes, for locations.
        size: in bytes.
        local: whether its bulk can be read at the speed of a disk; where not, rules that need more than
            headers do not run and the surface is `partial`.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def size(self) -> int: ...  # noqa: D102

    @property
    def local(self) -> bool: ...  # noqa: D102

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the bytes from `offset`, fewer than `length` only at the end of the file.

        Raises:
            InputError: they cannot be read, or the file is not the size that it was.
            HubUnreachable: the hub no longer answers.
        """


class LocalBytes:
    """A file on disk, opened once, so that what is parsed and what is hashed are the same file."""

    local = True

    def __init__(self, path: Path, name: str | None = None) -> None:
        """Open a regular file.

        Raises:
            InputError: it cannot be read or is not a regular file.
        """
        self.path = path
        self.name = name or path.name
        self._stream = open_regular(path)
        status = os.fstat(self._stream.fileno())
        self.size, self.stamp = status.st_size, file_stamp(status)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the bytes from `offset`; see `ByteSource`."""
        wanted = max(0, min(length, self.size - offset))
        try:
            data = os.pread(self._stream.fileno(), wanted, offset) if wanted else b""
        except OSError as error:
            raise unreadable(self.path, error) from error
        if len(data) != wanted:  # one read gives up to 2 GiB, which no rule asks for
            raise InputError(f"{self.path}: shrank while it was read; try again when nobody writes to it")
        return data

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
