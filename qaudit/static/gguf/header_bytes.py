"""Reads a header front to back through a window, never past the file and never more than a budget."""

import struct
from array import array

from qaudit.static.byte_source import ByteSource
from qaudit.static.gguf.string_array import StringArray
from qaudit.static.gguf.walk import printable

FIRST_READ = 1 << 16  # bytes; headers without a vocabulary fit
MOST_AT_ONCE = 1 << 21
MOST_LAYOUTS = 100
MAX_READ = 1 << 27  # bytes that one header may make us read; the largest vocabularies take 20 MB


def called(what: str | bytes) -> str:
    """Return how a message calls what was read: a key's bytes stand for its value."""
    return what if isinstance(what, str) else f"the value of {printable(what)}"


class Beginning:
    """The first bytes of a file as if it ended there, for those who look for what stands near the start.

    Attributes:
        name: of the file.
        size: of its beginning.
        local: as the file.
    """

    def __init__(self, source: ByteSource, most: int) -> None:
        self._source = source
        self.name, self.local = source.name, source.local
        self.size = min(source.size, most)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the bytes from `offset`; see `ByteSource`."""
        return self._source.read_at(offset, max(0, min(length, self.size - offset)))


class HeaderEnds(Exception):
    """The walk cannot go on; never leaves the walk.

    Attributes:
        code: of the problem.
        offset: where in the file.
        text: for a person.
    """

    def __init__(self, code: str, offset: int, text: str) -> None:
        super().__init__(text)
        self.code, self.offset, self.text = code, offset, text


class HeaderBytes:
    """A position in a file and the bytes around it.

    What is read is named for messages by a text, or by the bytes of a key for its value.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source, self.size = source, source.size
        self.at = 0
        self._window, self._base = b"", 0
        self._chunk, self._spent = FIRST_READ, 0
        self.order = "<"
        self.prefix = 8  # bytes of a length
        self._layouts: dict[str, struct.Struct] = {}

    @property
    def remaining(self) -> int:
        """Bytes from here to the end of the file."""
        return self.size - self.at

    def swap(self) -> None:
        """Read numbers in the other byte order from here on."""
        self.order = ">" if self.order == "<" else "<"
        self._layouts.clear()

    def take(self, length: int, what: str | bytes) -> bytes:
        """Return the next bytes.

        Raises:
            HeaderEnds: the file or the budget ends before.
        """
        start = self.at - self._base
        if not 0 <= start <= len(self._window) - length:
            start = self._have(length, what)
        self.at += length
        return self._window[start : start + length]

    def numbers(self, form: str, what: str | bytes) -> tuple[int, ...]:
        """Return the next numbers, of a struct format without its byte order.

        Raises:
            HeaderEnds: the file or the budget ends before.
        """
        layout = self._layouts.get(form) or self._layout(form)
        start = self.at - self._base
        if not 0 <= start <= len(self._window) - layout.size:
            start = self._have(layout.size, what)
        self.at += layout.size
        return layout.unpack_from(self._window, start)

    def length(self, what: str | bytes) -> int:
        """Return the next length or count, 8 bytes or 4 in GGUF v1.

        Raises:
            HeaderEnds: the file or the budget ends before.
        """
        return self.numbers("Q" if self.prefix == 8 else "I", what)[0]

    def skip(self, length: int, what: str | bytes) -> None:
        """Pass over bytes without reading them.

        Raises:
            HeaderEnds: the file ends before.
        """
        if length > self.remaining:
            raise self._truncated(length, what)
        self.at += length

    def strings(self, count: int, most: int, what: str | bytes) -> StringArray:
        """Return the next strings of an array, together of at most `most` bytes with their lengths.

        Raises:
            HeaderEnds: the file or the budget ends before, they take more, or a length is over what remains.
        """
        begin, prefix = self.at, self.prefix
        unpack = struct.Struct(self.order + ("Q" if prefix == 8 else "I")).unpack_from
        block = self._window[self._have(0, what) :]
        marks = array("Q")
        mark, position = marks.append, 0
        unusual: list[int] = []
        while True:
            try:
                for _ in range(count - len(marks)):
                    (length,) = unpack(block, position)
                    mark(position)
                    position += prefix + length
                    if not 0 < length < 256:
                        unusual.append(length)
            except (struct.error, OverflowError):
                pass  # the window ends here, or the last length leads out of it
            done = len(marks) == count
            needed = position if done else position + prefix
            if begin + needed > self.size:
                last = begin + (marks[-1] if marks else 0)
                text = f"string {len(marks)} of {count} in {called(what)} leads past the end of the file"
                raise HeaderEnds("string-length", last, text)
            if needed > most:
                raise HeaderEnds("limit", begin, f"{called(what)} takes more than {most} bytes")
            if needed <= len(block):
                break
            block += self._more(begin + len(block), needed - len(block), what)
        marks.append(position)
        self.at = self._base = begin + position
        self._window = block[position:]
        return StringArray(block[:position], marks, prefix, unusual)

    def _layout(self, form: str) -> struct.Struct:
        layout = struct.Struct(self.order + form)
        if len(self._layouts) < MOST_LAYOUTS:
            self._layouts[form] = layout
        return layout

    def _have(self, length: int, what: str | bytes) -> int:
        # returns where in the window the next bytes are
        if length > self.remaining:
            raise self._truncated(length, what)
        start = self.at - self._base
        missing = start + length - len(self._window)
        if start > len(self._window):
            self._window, self._base, start = self._more(self.at, length, what), self.at, 0
        elif missing > 0:
            self._window = self._window[start:] + self._more(self._base + len(self._window), missing, what)
            self._base, start = self.at, 0
        return start

    def _more(self, offset: int, least: int, what: str | bytes) -> bytes:
        wanted = max(self._chunk, least)
        self._chunk = min(self._chunk * 2, MOST_AT_ONCE)
        if self._spent + least > MAX_READ:
            raise HeaderEnds("limit", offset, f"{called(what)}: the header is over {MAX_READ >> 20} MB")
        data = self._source.read_at(offset, min(wanted, MAX_READ - self._spent))
        self._spent += len(data)
        return data

    def _truncated(self, length: int, what: str | bytes) -> HeaderEnds:
        text = f"{called(what)} takes {length} bytes, the file ends after {self.remaining}"
        return HeaderEnds("truncated", self.at, text)
