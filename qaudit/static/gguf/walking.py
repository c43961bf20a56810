"""Walks a GGUF header from its first byte, in either byte order and any of the versions 1 to 3."""

import struct
import sys
from array import array

from qaudit.static.byte_source import ByteSource
from qaudit.static.gguf.header_bytes import HeaderBytes, HeaderEnds, called
from qaudit.static.gguf.string_array import StringArray
from qaudit.static.gguf.walk import (
    ARRAY,
    BOOL,
    DEFAULT_ALIGNMENT,
    F64,
    MAGIC,
    STRING,
    TOKENIZER_JSON,
    GgufWalk,
    KvPair,
    Problem,
    TensorEntry,
    Value,
    printable,
    type_name,
)

SWAPPED_MAGIC = b"FUGG"
MAX_PAIRS = 1 << 15
MAX_TENSORS = 1 << 15
MAX_NAME = 1 << 16  # bytes kept of a key or tensor name
MAX_STRING = 4 << 20  # bytes kept of a value
MAX_TOKENIZER = 12 << 20  # and of one that is a whole tokenizer
MAX_KEPT_ARRAY = 8 << 20
MAX_BLOCK = 20 << 20  # of an array of strings
MAX_KEPT = 28 << 20  # bytes of all values together
MAX_STRINGS = 1_200_000  # in all arrays: they are walked one by one
MAX_NESTED = 100_000  # arrays in arrays
MAX_DEPTH = 8
MAX_DIMENSIONS_KEPT = 32
# llama.cpp's GGUF_MAX_STRING_LENGTH and GGUF_MAX_ARRAY_ELEMENTS
LOADER_LIMIT = 1 << 30
# struct format of a scalar by GGUF type; array.array uses the same letters
LETTERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", BOOL: "B", 10: "Q", 11: "q", F64: "d"}
SIZES = {kind: struct.calcsize("<" + letter) for kind, letter in LETTERS.items()}


def walk_gguf(source: ByteSource) -> GgufWalk:
    """Walk a header as far as it can be followed; bad content becomes problems.

    Raises:
        InputError: the source cannot be read.
        HubUnreachable: the source's hub no longer answers.
    """
    return _Walker(source).walk()


class _Walker:
    def __init__(self, source: ByteSource) -> None:
        self.bytes = HeaderBytes(source)
        self.seen = GgufWalk(source.name, source.size)
        self.kept = 0
        self.strings = 0
        self.nested = 0

    def walk(self) -> GgufWalk:
        seen = self.seen
        try:
            if self._preamble():
                self._pairs()
                self._alignment()
                self._tensors()
        except HeaderEnds as end:
            # after a count that cannot be, whatever is wrong next comes from reading on for too long
            lost = any(problem.code == "count" for problem in seen.problems)
            self._note("lost" if lost and end.code != "limit" else end.code, end.offset, end.text)
        seen.header_end = self.bytes.at
        return seen

    def _note(self, code: str, offset: int, text: str) -> None:
        self.seen.problems.append(Problem(code, offset, text))

    def _preamble(self) -> bool:
        seen, header = self.seen, self.bytes
        seen.magic = header.take(min(8, header.size), "the magic")
        if seen.magic[:4] == SWAPPED_MAGIC:
            self._note("swapped-magic", 0, "the file begins with FUGG, GGUF backwards")
        elif seen.magic[:4] != MAGIC:
            if MAGIC.startswith(seen.magic):
                raise HeaderEnds("truncated", 0, f"the file has {seen.size} bytes, too few for a header")
            self._note("magic", 0, f"the file begins with {seen.magic!r}, not with GGUF")
            return False
        header.at = len(MAGIC)
        (seen.version,) = header.numbers("I", "the version")
        if seen.version & 0xFFFF == 0 and seen.version:
            seen.big_endian = True
            header.swap()
            seen.version = int.from_bytes(seen.version.to_bytes(4, "little"), "big")
        if seen.version == 1:
            header.prefix = 4
        elif seen.version not in (2, 3):
            # version 4 may be laid out otherwise; some loaders read any number as 3, so the walk goes on
            self._note("version", 4, f"version {seen.version}")
            if seen.version > 16 or seen.version == 0:
                return False
        seen.tensor_count = header.length("the number of tensors")
        seen.pair_count = header.length("the number of keys")
        # smallest entries: a key of no bytes with a one-byte value; a tensor without name and dimensions
        for what, count, least, cap in (
            ("keys", seen.pair_count, header.prefix + 5, MAX_PAIRS),
            ("tensors", seen.tensor_count, header.prefix + 16, MAX_TENSORS),
        ):
            if count * least > header.remaining:
                text = f"{count} {what} declared; {header.remaining} bytes remain for all of them"
                # a number that a model may have: the file is cut off
                self._note("count" if count > cap else "truncated", 8, text)
            elif count > cap:
                self._note("many", 8, f"{count} {what}; the first {cap} are looked at")
        return True

    def _pairs(self) -> None:
        for _ in range(min(self.seen.pair_count, MAX_PAIRS)):
            at = self.bytes.at
            key = self._name("key", at)
            (kind,) = self.bytes.numbers("I", "the type of a value")
            begin = self.bytes.at
            element, count, value = None, 1, None
            if kind == ARRAY:
                element, count, value = self._array(key)
            else:
                value = self._scalar(kind, key)
            self.seen.pairs.append(KvPair(key, kind, at, value, element, count, self.bytes.at - begin))
        if self.seen.pair_count > MAX_PAIRS:
            raise HeaderEnds("limit", self.bytes.at, f"more than {MAX_PAIRS} keys")

    def _name(self, what: str, at: int) -> bytes:
        length = self.bytes.length(f"the length of a {what}")
        if length > self.bytes.remaining:
            text = f"a {what} claims {length} bytes, the file ends after {self.bytes.remaining}"
            raise HeaderEnds("string-length", at, text)
        kept = self.bytes.take(min(length, MAX_NAME), what)
        if length > MAX_NAME:
            self._note(f"long-{what.replace(' ', '-')}", at, f"a {what} of {length} bytes: {printable(kept)}")
            self.bytes.skip(length - MAX_NAME, what)
        return kept

    def _scalar(self, kind: int, what: bytes) -> Value:
        at = self.bytes.at
        if kind == STRING:
            return self._string(what)
        letter = LETTERS.get(kind)
        if letter is None:
            raise HeaderEnds("value-type", at - 4, f"{called(what)} is of {type_name(kind)}")
        (number,) = self.bytes.numbers(letter, what)
        if kind == BOOL:
            if number > 1:
                self._note("bool-byte", at, f"{called(what)} is a truth value stored as {number}")
            return bool(number)
        return number

    def _string(self, what: bytes) -> bytes | None:
        at = self.bytes.at
        length = self.bytes.length(what)
        if length > self.bytes.remaining:
            text = f"{called(what)} claims {length} bytes, the file ends after {self.bytes.remaining}"
            raise HeaderEnds("string-length", at, text)
        if length > LOADER_LIMIT:
            self._note(
                "loader-limit", at, f"{called(what)} has {length} bytes; llama.cpp takes {LOADER_LIMIT}"
            )
        cap = MAX_TOKENIZER if what == TOKENIZER_JSON.encode() else MAX_STRING
        if not self._keeps(length, cap, at, what):
            self.bytes.skip(length, what)
            return None
        return self.bytes.take(length, what)

    def _keeps(self, length: int, cap: int, at: int, what: bytes) -> bool:
        self.kept += length
        if length <= cap and self.kept <= MAX_KEPT:
            return True
        self.kept -= length
        self._note("not-kept", at, f"{called(what)} has {length} bytes and was not looked at")
        return False

    def _array(self, what: bytes) -> tuple[int, int, Value]:
        at = self.bytes.at
        (element,) = self.bytes.numbers("I", what)
        count = self.bytes.length(what)
        if element == ARRAY:
            self._note("nested-array", at, f"{called(what)} is an array of {count} arrays")
            self._nested(count, what)
            return element, count, None
        size = SIZES.get(element, self.bytes.prefix if element == STRING else None)
        if size is None:
            raise HeaderEnds("element-type", at, f"{called(what)} is an array of {type_name(element)}")
        self._bounded(count, size, at, what)
        if element == STRING:
            return element, count, self._strings(count, at, what)
        if not self._keeps(count * size, MAX_KEPT_ARRAY, at, what):
            self.bytes.skip(count * size, what)
            return element, count, None
        numbers = array(LETTERS[element], self.bytes.take(count * size, what))
        if element == BOOL and numbers.tobytes().strip(b"\0\1"):
            self._note("bool-byte", at, f"{called(what)} has truth values that are neither 0 nor 1")
        if (self.bytes.order == ">") != (sys.byteorder == "big"):
            numbers.byteswap()
        return element, count, numbers

    def _bounded(self, count: int, size: int, at: int, what: bytes) -> None:
        if count * size > self.bytes.remaining:
            text = f"{called(what)} claims {count} elements of {size} bytes and more, over what remains"
            raise HeaderEnds("array-length", at, text)
        if count > LOADER_LIMIT:
            self._note(
                "loader-limit", at, f"{called(what)} has {count} elements; llama.cpp takes {LOADER_LIMIT}"
            )

    def _strings(self, count: int, at: int, what: bytes) -> StringArray:
        self.strings += count
        if self.strings > MAX_STRINGS:
            raise HeaderEnds(
                "limit", at, f"{called(what)}: more than {MAX_STRINGS} strings in arrays up to here"
            )
        strings = self.bytes.strings(count, min(MAX_BLOCK, MAX_KEPT - self.kept), what)
        self.kept += len(strings.block)
        return strings

    def _nested(self, count: int, what: bytes) -> None:
        # how many arrays are still to come on each level; the depth is a list, not the call stack
        levels = [count]
        while levels:
            if not levels[-1]:
                levels.pop()
                continue
            at = self.bytes.at
            self._bounded(levels[-1], self.bytes.prefix + 4, at, what)
            levels[-1] -= 1
            self.nested += 1
            if self.nested > MAX_NESTED:
                raise HeaderEnds("limit", at, f"{called(what)}: more than {MAX_NESTED} arrays in arrays")
            (element,) = self.bytes.numbers("I", what)
            inner = self.bytes.length(what)
            if element == ARRAY:
                if len(levels) >= MAX_DEPTH:
                    raise HeaderEnds("nested-depth", at, f"{called(what)} is nested deeper than {MAX_DEPTH}")
                levels.append(inner)
                continue
            size = SIZES.get(element, self.bytes.prefix if element == STRING else None)
            if size is None:
                raise HeaderEnds("element-type", at, f"{called(what)} holds an array of {type_name(element)}")
            self._bounded(inner, size, at, what)
            if element == STRING:
                self._strings(inner, at, what)
            else:
                self.bytes.skip(inner * size, what)

    def _alignment(self) -> None:
        pair = next((pair for pair in self.seen.pairs if pair.key == b"general.alignment"), None)
        value = pair.value if pair else DEFAULT_ALIGNMENT
        usable = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 32
        self.seen.alignment = value if usable and isinstance(value, int) else DEFAULT_ALIGNMENT

    def _tensors(self) -> None:
        seen, header = self.seen, self.bytes
        form = "Q" if header.prefix == 8 else "I"
        for _ in range(min(seen.tensor_count, MAX_TENSORS)):
            at = header.at
            name = self._name("tensor name", at)
            (dimensions,) = header.numbers("I", "a number of dimensions")
            if dimensions > MAX_DIMENSIONS_KEPT:
                text = f"tensor {printable(name)} claims {dimensions} dimensions"
                raise HeaderEnds("dimensions", at, text)
            *dims, type_id, offset = header.numbers(f"{dimensions}{form}iQ", "an entry of the tensor table")
            seen.tensors.append(TensorEntry(name, tuple(dims), type_id, offset, at))
        if seen.tensor_count > MAX_TENSORS:
            raise HeaderEnds("limit", header.at, f"more than {MAX_TENSORS} tensors")
        seen.header_end, seen.complete = header.at, True
        end, unit = header.at, seen.alignment
        seen.data_start = (end + unit - 1) // unit * unit if seen.tensors else end
