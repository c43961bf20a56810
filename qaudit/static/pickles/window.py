"""A place in a file that moves on, with a small part of it in memory."""

from typing import Final

from qaudit.static.byte_source import ByteSource

WINDOW: Final = 1 << 16
MAX_LINE: Final = 1 << 16  # longest text argument of protocol 0


class Ended(Exception):
    """The file ended, or a line did not, before an argument was complete."""


class Window:
    """Sequential reading of a `ByteSource` that skips what nobody wants to see."""

    def __init__(self, source: ByteSource, start: int) -> None:
        self.source, self.size = source, source.size
        self.base, self.at, self.data = start, 0, b""

    @property
    def offset(self) -> int:
        """Where in the file the next byte is."""
        return self.base + self.at

    def byte(self) -> int:
        """Return the next byte.

        Raises:
            Ended: there is none.
        """
        if self.at >= len(self.data):
            self._load(1)
        value = self.data[self.at]
        self.at += 1
        return value

    def take(self, length: int) -> bytes:
        """Return the next bytes.

        Raises:
            Ended: there are not so many.
        """
        if self.at + length > len(self.data):
            self._load(length)
        start = self.at
        self.at += length
        return self.data[start : self.at]

    def skip(self, length: int) -> None:
        """Move on without reading.

        Raises:
            Ended: the file is shorter.
        """
        if self.offset + length > self.size:
            raise Ended
        self.at += length
        if self.at > len(self.data):
            self.base, self.at, self.data = self.offset, 0, b""

    def line(self) -> bytes:
        """Return the bytes up to the next newline, which is passed over.

        Raises:
            Ended: there is none within `MAX_LINE` bytes.
        """
        found = self.data.find(b"\n", self.at)
        if found < 0:
            self._load(min(MAX_LINE, self.size - self.offset))
            found = self.data.find(b"\n", self.at, self.at + MAX_LINE)
            if found < 0:
                raise Ended
        start, self.at = self.at, found + 1
        return self.data[start:found]

    def _load(self, length: int) -> None:
        self.base, self.at = self.offset, 0
        self.data = self.source.read_at(self.base, max(length, WINDOW))
        if len(self.data) < max(length, 1):
            raise Ended


class Slice:
    """A part of a file as a file of its own, such as a byte string in a pickle or a stored member."""

    def __init__(self, source: ByteSource, offset: int, length: int, name: str) -> None:
        self._source, self._offset = source, offset
        self.name, self.local = name, source.local
        self.size = max(0, min(length, source.size - offset))

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes; see `ByteSource`."""
        wanted = max(0, min(length, self.size - offset))
        return self._source.read_at(self._offset + offset, wanted) if wanted else b""


class Held:
    """Bytes in memory as a file, such as a member that was decompressed."""

    local = True

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.size = data, name, len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes; see `ByteSource`."""
        return self.data[offset : offset + max(0, length)]
