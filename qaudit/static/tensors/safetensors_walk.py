"""The header of a safetensors file, read to its end whatever is wrong with it.

Format: https://huggingface.co/docs/safetensors (an 8-byte little-endian length, a JSON header, the data).
The loader of qaudit.checkpoints stops at the first lie; this walk notes each and goes on. The header is
read member by member, so that keys that stand twice, and what a long header holds, are seen.
"""

import json
import math
import operator
import re
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import NamedTuple

from qaudit.static.byte_source import ByteSource
from qaudit.static.configs.lenient_json import Document, decoded, lenient_decoder
from qaudit.static.tensors.dtypes import BITS
from qaudit.static.tensors.shapes import shape_text

MAX_HEADER = 100_000_000  # bytes, the cap of the reference implementation
MOST_READ = 24 << 20  # of a header; a hundred thousand tensors need less
MAX_ENTRIES = 100_000
MOST_OF_TOO_MANY = 256 << 10  # characters read of a header that exists to exhaust its readers
# signs that one tensor's entry has, and some more for metadata
_QUOTES, _BRACKETS, _COMMAS = 12 * MAX_ENTRIES, 4 * MAX_ENTRIES, 16 * MAX_ENTRIES
MAX_DIMENSIONS = 8
MOST_PROBLEMS = 200
METADATA = "__metadata__"
_KEYS = {"dtype", "shape", "data_offsets"}
_SPACE = re.compile(r"[ \t\n\r]*")
_PAD = re.compile(r" *\Z")
# an entry as every writer writes it, with what follows it; anything else goes the long way
_USUAL = re.compile(
    r'"([^"\\\x00-\x1f]{1,400})"\s*:\s*\{\s*"dtype"\s*:\s*"(\w{1,16})"\s*,\s*"shape"\s*:\s*\[([\d, ]{0,99})\]'
    r'\s*,\s*"data_offsets"\s*:\s*\[\s*(0|[1-9]\d{0,17})\s*,\s*(0|[1-9]\d{0,17})\s*\]\s*\}\s*([,}])[ \t\n\r]*'
)
_USUAL_SHAPE = re.compile(r"(?:(?:0|[1-9]\d{0,9})(?:, ?(?!\Z)|\Z)){0,8}")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as the format says, at an offset of the file."""

    code: str
    offset: int
    text: str


class StoredTensor(NamedTuple):
    """One entry of a header that can be read.

    Attributes:
        shape: outermost first, as in torch.
        begin: of its data, counted from the end of the header.
        end: likewise, exclusive.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Number of bytes in the file."""
        return self.end - self.begin

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


_PLACE = operator.attrgetter("begin", "end")


@dataclass(slots=True)
class SafetensorsWalk:
    """What a header holds.

    Attributes:
        data_start: offset in the file at which data begins.
        metadata: pairs of `__metadata__`, in order, also those that stand twice.
        tail: what the bytes after the last tensor are, where that was looked at.
        bloated: it holds more entries than any model's, of which only the first were read.
        complete: the header was read to its end; `why` says what was not.
    """

    name: str
    size: int
    header_length: int = 0
    data_start: int = 0
    metadata: list[tuple[str, object]] = field(default_factory=list)
    tensors: list[StoredTensor] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    tail: str = ""
    bloated: bool = False
    complete: bool = True
    why: str = ""

    def in_order(self) -> list[StoredTensor]:
        """Return the tensors by their places in the file."""
        return sorted(self.tensors, key=_PLACE)

    def note(self, code: str, offset: int, text: str) -> None:
        """Remember a problem, up to a number that a person can still read."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(code, offset, text))

    def stop(self, why: str) -> None:
        """Say that part of the header was not read."""
        self.complete, self.why = False, self.why or why


def walk_safetensors(source: ByteSource) -> SafetensorsWalk:
    """Read a header; nothing of the data.

    Raises:
        InputError: the file cannot be read.
    """
    walk = SafetensorsWalk(source.name, source.size)
    first = source.read_at(0, 16)
    if len(first) < 8:
        walk.note("header-length", 0, f"{source.size} bytes are too few for safetensors")
        walk.stop("no header")
        return walk
    length = int.from_bytes(first[:8], "little")
    walk.header_length, walk.data_start = length, 8 + length
    left = source.size - 8
    if first[8:9] != b"{":
        walk.note("not-json", 8, f"the header begins with {first[8:16]!r}, not with '{{'")
    if length > left:
        walk.note("header-length", 0, f"a header of {length} bytes is told, {left} are left in the file")
    elif length > MAX_HEADER:
        walk.note("header-length", 0, f"a header of {length} bytes; loaders take at most {MAX_HEADER}")
    if first[8:9] != b"{" or length > min(left, MAX_HEADER):
        walk.stop("its header cannot be read")
        return walk
    if length > MOST_READ:
        walk.stop(f"of a header of {length} bytes the first {MOST_READ} were read")
    _Header(walk, source.read_at(8, min(length, MOST_READ)), whole=length <= MOST_READ).read()
    return walk


class _Header:
    """One pass over a header's text."""

    def __init__(self, walk: SafetensorsWalk, raw: bytes, *, whole: bool) -> None:
        self.walk, self.whole = walk, whole
        self.document = Document()
        self.text = decoded(raw if whole else raw[: _last_whole(raw)], self.document)
        if self.document.problem:
            walk.note("not-json", 8, self.document.problem)
        self.decoder: json.JSONDecoder = lenient_decoder(self.document)
        self.seen: set[str] = set()
        self.members = 0
        if _is_dense(self.text):
            self.text, self.whole = self.text[:MOST_OF_TOO_MANY], False
            self._too_many(
                MOST_OF_TOO_MANY, f"the first {MOST_OF_TOO_MANY} characters of its header were read"
            )

    def read(self) -> None:
        try:
            end = self._members()
        except RecursionError:
            self._broken(0, "nested too deeply")
        except ValueError as error:
            self._broken(getattr(error, "pos", 0), f"not JSON: {' '.join(str(error).split())[:120]}")
        else:
            if end is not None and not _PAD.match(self.text, end):
                rest = self.text[end:]
                code = "padding" if not rest.strip(" \t\r\n") else "not-json"
                self.walk.note(code, 8 + end, f"{len(rest)} characters after the header's end: {rest[:40]!r}")

    def _broken(self, position: int, problem: str) -> None:
        if self.whole:
            self.walk.note("not-json", 8 + position, problem)
            self.walk.stop(f"its header is {problem}")

    def _members(self) -> int | None:
        position = self._space(1)
        if self.text[position : position + 1] == "}":
            return position + 1
        while True:
            usual = _USUAL.match(self.text, position)
            if usual and self._usual(usual):
                position = usual.end()
                if usual[6] == "}":
                    return usual.end(6)
                if self._is_full(position):
                    return None
                continue
            if self.text[position : position + 1] != '"':
                raise json.JSONDecodeError("a key should begin", self.text, position)
            at = position
            key, position = scanstring(self.text, position + 1, True)
            position = self._space(position)
            if self.text[position : position + 1] != ":":
                raise json.JSONDecodeError("a colon should follow a key", self.text, position)
            value, position = self._value(self._space(position + 1))
            self._member(key, value, 8 + at)
            position = self._space(position)
            sign = self.text[position : position + 1]
            if sign == "}":
                return position + 1
            if sign != ",":
                raise json.JSONDecodeError("a comma or '}' should follow", self.text, position)
            if self._is_full(position):
                return None
            position = self._space(position + 1)

    def _too_many(self, position: int, read: str) -> None:
        self.walk.bloated = True
        self.walk.note("many-entries", 8 + position, f"more than {MAX_ENTRIES} tensors, or as many values")
        self.walk.stop(read)

    def _is_full(self, position: int) -> bool:
        self.members += 1
        if self.members <= MAX_ENTRIES + 1:  # metadata is one more
            return False
        self._too_many(position, f"the first {self.members} members of its header were read")
        return True

    def _usual(self, found: re.Match[str]) -> bool:
        """Take an entry in the usual form; return whether it was one that needs no second look."""
        name, dtype, lengths, begin, end, _ = found.groups()
        if name in self.seen or name == METADATA or not _USUAL_SHAPE.fullmatch(lengths):
            return False
        shape = tuple(map(int, lengths.split(","))) if lengths else ()
        tensor = StoredTensor(name, dtype, shape, int(begin), int(end))
        elements = math.prod(shape)
        # a product that overflows on the way may end at zero
        if (
            BITS.get(dtype, 0) * elements != 8 * (tensor.end - tensor.begin)
            or elements >> 60
            or (not elements and len(shape) > 2)
        ):
            return False
        self.seen.add(name)
        self.walk.tensors.append(tensor)
        return True

    def _value(self, position: int) -> tuple[object, int]:
        before = len(self.document.duplicates)
        value, end = self.decoder.raw_decode(self.text, position)
        for key in self.document.duplicates[before:]:
            self.walk.note("duplicate-key", 8 + position, f"the key {key[:80]!a} stands twice in one object")
        del self.document.duplicates[before:]
        return value, end

    def _member(self, key: str, value: object, at: int) -> None:
        walk = self.walk
        if key in self.seen:
            walk.note("duplicate-key", at, f"the key {key[:80]!a} stands twice")
        self.seen.add(key)
        if key == METADATA:
            self._metadata(value, at)
            return
        tensor = _tensor(walk, key, value, at)
        if tensor:
            walk.tensors.append(tensor)

    def _metadata(self, value: object, at: int) -> None:
        if not isinstance(value, dict):
            self.walk.note("metadata-type", at, f"{METADATA} is not an object")
            return
        self.walk.metadata += value.items()
        for key, item in value.items():
            if not isinstance(item, str):
                self.walk.note("metadata-type", at, f"{METADATA}.{key[:80]!a} is not a string")

    def _space(self, position: int) -> int:
        found = _SPACE.match(self.text, position)
        return found.end() if found else position


def _tensor(walk: SafetensorsWalk, name: str, entry: object, at: int) -> StoredTensor | None:
    shown = ascii(name[:80])
    if not isinstance(entry, dict) or not entry.keys() >= _KEYS:
        walk.note("entry", at, f"{shown} is not dtype, shape and data_offsets")
        return None
    if entry.keys() != _KEYS:
        more = ", ".join(ascii(key)[:40] for key in list(entry.keys() - _KEYS)[:4])
        walk.note("entry", at, f"{shown} has keys that the format does not know: {more}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str):
        walk.note("entry", at, f"{shown}: its dtype is no string")
        return None
    if not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2:
        walk.note("entry", at, f"{shown}: shape or data_offsets are not lists of numbers from 0 to 2^64-1")
        return None
    if offsets[0] > offsets[1]:
        walk.note("offsets", at, f"{shown}: its data ends at {offsets[1]}, before it begins at {offsets[0]}")
        return None
    if len(shape) > MAX_DIMENSIONS:
        walk.note("dimensions", at, f"{shown} has {len(shape)} dimensions; torch's own tensors have a few")
    if len(shape) > 64:
        return None
    tensor = StoredTensor(name, dtype, tuple(shape), offsets[0], offsets[1])
    _check_size(walk, tensor, at)
    return tensor


def _check_size(walk: SafetensorsWalk, tensor: StoredTensor, at: int) -> None:
    shown = ascii(tensor.name[:80])
    product = 1
    for length in tensor.shape:
        product *= length
        # a zero later in the shape hides an overflow from those who look at the result only
        if product >= 1 << 63:
            walk.note(
                "overflow", at, f"{shown}: the product of its shape {shape_text(tensor.shape)} overflows"
            )
            return
    bits = BITS.get(tensor.dtype)
    if bits is None:
        walk.note("dtype", at, f"{shown}: unknown dtype {tensor.dtype[:40]!a}")
        return
    needed = product * bits
    if needed >= 1 << 64:
        walk.note("overflow", at, f"{shown}: {shape_text(tensor.shape)} of {tensor.dtype} overflows in bits")
    elif needed != 8 * tensor.size:
        claim = f"{tensor.dtype} of {shape_text(tensor.shape)} needs {needed / 8:g} bytes"
        walk.note("size", at, f"{shown}: {claim}, its data_offsets span {tensor.size}")


def _is_dense(text: str) -> bool:
    """Return whether a header holds more than tensors can, and would take memory for nothing."""
    return (
        text.count('"data_offsets"') > MAX_ENTRIES
        or text.count('"') > _QUOTES
        or text.count("[") + text.count("{") > _BRACKETS
        or text.count(",") > _COMMAS
    )


def _whole_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 1 << 64 for v in value)


def _last_whole(raw: bytes) -> int:
    """Return the length without a character that was cut in the middle."""
    end = len(raw)
    while end and raw[end - 1] & 0xC0 == 0x80 and len(raw) - end < 3:
        end -= 1
    return end - 1 if end and raw[end - 1] & 0xC0 == 0xC0 else len(raw)
