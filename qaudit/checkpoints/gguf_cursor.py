"""A cursor over a GGUF header that never reads past the file or a cap."""

import re
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from qaudit.errors import LimitExceeded, MalformedFile

MAX_HEADER = 256 << 20
MAX_KEY = 65535
MAX_STRING = 16 << 20
MAX_ARRAY = 8 << 20  # elements, over all arrays of a file
KEY = re.compile(r"[\x21-\x7e]+")

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
# metadata value types 0-7 and 10-12 are scalars; 8 is a string, 9 an array
_SCALARS = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "|b1",
    10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip
U32, _BOOL, _STRING, _ARRAY = 4, 7, 8, 9
_WINDOW = 1 << 16
_FEW = 64  # strings that are not worth a window


class GgufCursor:
    """Sequential, checked reads.

    Raises (every method):
        MalformedFile: the bytes end or lie.
        LimitExceeded: a declared length is over its cap.
    """

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self._stream = stream
        self.size = stream.seek(0, 2)
        stream.seek(0)
        self.offset = 0
        self._elements = 0

    def malformed(self, problem: str, remedy: str = "download it again") -> MalformedFile:
        """Return the error for this file."""
        return MalformedFile(self.path, problem, remedy)

    @property
    def remaining(self) -> int:
        """Bytes between here and the end of the file."""
        return self.size - self.offset

    def take(self, length: int) -> bytes:
        """Read exactly `length` bytes."""
        if length > self.remaining:
            raise self.malformed(
                f"truncated: {length} bytes wanted at byte {self.offset}, {self.remaining} left"
            )
        if self.offset + length > MAX_HEADER:
            raise LimitExceeded(
                self.path, f"the header goes on past {MAX_HEADER} bytes", "is it the right file?"
            )
        data = self._stream.read(length)
        if len(data) != length:
            raise self.malformed(f"shrank while it was read, at byte {self.offset}")
        self.offset += length
        return data

    def u32(self) -> int:
        """Read an unsigned 32-bit number."""
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        """Read an unsigned 64-bit number."""
        return int(_U64.unpack(self.take(8))[0])

    def bounded(self, what: str, count: int, smallest: int, cap: int) -> None:
        """Check a count of records of at least `smallest` bytes against the file and a cap."""
        if count * smallest > self.remaining:
            raise self.malformed(f"{what} is {count}, more than the {self.remaining} bytes left can hold")
        if count > cap:
            raise LimitExceeded(
                self.path, f"{what} is {count}, over the cap of {cap}", "is it the right file?"
            )

    def string_bytes(self, cap: int, what: str) -> bytes:
        """Read a length-prefixed string's bytes."""
        length = self.u64()
        self.bounded(f"length of a {what} at byte {self.offset - 8}", length, 1, cap)
        return self.take(length)

    def key(self) -> str:
        """Read a metadata key: printable ASCII, no NUL (llama.cpp compares keys as C strings)."""
        at = self.offset
        raw = self.string_bytes(MAX_KEY, "key")
        key = raw.decode("ascii", errors="replace")
        if not KEY.fullmatch(key):
            raise self.malformed(f"key at byte {at} is empty or not printable ASCII")
        return key

    def text(self) -> str:
        """Read a string value; bytes that are not UTF-8 are kept as surrogate escapes."""
        return self.string_bytes(MAX_STRING, "string").decode("utf-8", errors="surrogateescape")

    def value(self, kind: int) -> Any:  # noqa: ANN401
        """Read a metadata value of a given type id: int, float, bool, str, list of str or numpy array."""
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise self.malformed(f"unknown metadata type {kind} at byte {self.offset - 4}")
        return self._numbers(kind, 1)[0].item()

    def _array(self) -> Any:  # noqa: ANN401
        kind, count = self.u32(), self.u64()
        if kind == _ARRAY:
            raise self.malformed(f"array of arrays at byte {self.offset - 12}; llama.cpp refuses it too")
        if kind != _STRING and kind not in _SCALARS:
            raise self.malformed(f"unknown array type {kind} at byte {self.offset - 12}")
        smallest = 8 if kind == _STRING else np.dtype(_SCALARS[kind]).itemsize
        self.bounded(f"length of an array at byte {self.offset - 8}", count, smallest, MAX_ARRAY)
        # a short string costs several times its bytes once it is a Python object, so all count together
        self._elements += count
        if self._elements > MAX_ARRAY:
            raise LimitExceeded(
                self.path, f"its arrays have more than {MAX_ARRAY} elements", "is it the right file?"
            )
        return self._strings(count) if kind == _STRING else self._numbers(kind, count)

    def _strings(self, count: int) -> list[str]:
        # vocabularies have hundreds of thousands of strings: take those that lie whole in a window, and
        # leave the one that does not (long, cut off or lying) to the checks of text()
        found: list[str] = []
        while len(found) < count:
            size = min(_WINDOW, self.remaining, MAX_HEADER - self.offset) if count > _FEW else 0
            window = self._stream.read(size) if size > 0 else b""
            at = 0
            while len(found) < count and at + 8 <= len(window):
                end = at + 8 + int(_U64.unpack_from(window, at)[0])
                if end > len(window):
                    break
                found.append(window[at + 8 : end].decode("utf-8", errors="surrogateescape"))
                at = end
            self.offset += at
            if window:
                self._stream.seek(self.offset)
            if len(found) < count:
                found.append(self.text())
        return found

    def _numbers(self, kind: int, count: int) -> np.ndarray[Any, Any]:
        at = self.offset
        dtype = np.dtype(_SCALARS[kind])
        raw = self.take(dtype.itemsize * count)
        if kind == _BOOL and raw.strip(b"\0\1"):
            raise self.malformed(f"a bool at byte {at} is neither 0 nor 1")
        return np.frombuffer(raw, dtype)
