"""What a GGUF's header says, told as it is: a walk over any bytes that notes problems and goes on.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The walk decides nothing: it records
each pair, each tensor and each place that breaks the format, and stops only where it can no longer tell
what the next byte means. Every count and length is compared with the bytes that remain, in unbounded
integers, before anything is kept.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from qaudit.static.gguf.string_array import StringArray

MAGIC = b"GGUF"
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
TYPE_NAMES = (
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64",
)  # fmt: skip
DEFAULT_ALIGNMENT = 32
TOKENIZER_JSON = "tokenizer.huggingface.json"  # a whole tokenizer.json in one string

# a number, a truth value, the bytes of a string, an array; None where it was not kept or not understood
Value: TypeAlias = "int | float | bool | bytes | StringArray | array[int] | array[float] | None"


@dataclass(frozen=True, slots=True)
class Problem:
    """A place where the bytes break the format.

    Attributes:
        code: what kind, for the rules in `header_rules`.
        offset: of the byte in the file.
        text: what is there, for a person.
    """

    code: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class KvPair:
    """One key with its value.

    Attributes:
        key: as it lies in the file.
        type: of the value, by GGUF's numbers; 9 is an array.
        offset: of the key's length, in bytes from the start of the file.
        value: strings are `bytes`, arrays of numbers (and of truth values, as bytes) `array.array`,
            arrays of strings `StringArray`; None for nested arrays and what was too long to keep.
        element_type: of an array, else None.
        count: elements of an array as declared; 1 for anything else.
        length_bytes: of the value, without key and type.
    """

    key: bytes
    type: int
    offset: int
    value: Value
    element_type: int | None = None
    count: int = 1
    length_bytes: int = 0

    @property
    def name(self) -> str:
        """The key as text; bytes that are not UTF-8 become lone surrogates."""
        return self.key.decode("utf-8", "surrogateescape")

    @property
    def type_name(self) -> str:
        """Such as `u32` or `array of string`, for a person."""
        if self.type != ARRAY or self.element_type is None:
            return type_name(self.type)
        return f"array of {type_name(self.element_type)}"


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One entry of the tensor table.

    Attributes:
        name: as it lies in the file.
        dims: as stored, innermost first.
        type_id: ggml's number of the type, signed.
        offset: of the data, relative to where data starts.
        at: of the entry in the file.
    """

    name: bytes
    dims: tuple[int, ...]
    type_id: int
    offset: int
    at: int

    @property
    def text(self) -> str:
        """The name as text; bytes that are not UTF-8 become lone surrogates."""
        return self.name.decode("utf-8", "surrogateescape")


@dataclass(slots=True)
class GgufWalk:
    """A header as far as it could be followed.

    Attributes:
        name: of the file, for locations.
        size: of the file in bytes.
        version: 0 where there is none.
        pair_count: as declared; `pairs` holds those that were reached.
        tensor_count: likewise.
        alignment: by `general.alignment` where it can be used, else 32.
        data_start: first byte after the header and its padding; None where the header has no end.
        header_end: first byte after the last thing that was understood.
        complete: every declared pair and tensor was reached.
        magic: the first bytes of the file.
    """

    name: str
    size: int
    version: int = 0
    big_endian: bool = False
    pair_count: int = 0
    tensor_count: int = 0
    pairs: list[KvPair] = field(default_factory=list)
    tensors: list[TensorEntry] = field(default_factory=list)
    alignment: int = DEFAULT_ALIGNMENT
    data_start: int | None = None
    header_end: int = 0
    problems: list[Problem] = field(default_factory=list)
    complete: bool = False
    magic: bytes = b""
    _metadata: dict[str, object] | None = None
    _by_key: dict[bytes, KvPair] | None = None

    @property
    def metadata(self) -> dict[str, object]:
        """Values by key; of equal keys the first. Strings are `str`, see `KvPair` for the rest."""
        if self._metadata is None:
            values: dict[str, object] = {}
            for pair in self.pairs:
                value = pair.value
                text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
                values.setdefault(pair.name, text)
            self._metadata = values
        return self._metadata

    def pair(self, key: str) -> KvPair | None:
        """Return the first pair of a key; ask only when the walk is over."""
        if self._by_key is None:
            self._by_key = {pair.key: pair for pair in reversed(self.pairs)}
        return self._by_key.get(key.encode("utf-8", "surrogateescape"))

    def text(self, key: str) -> str | None:
        """Return the value of a key if it is a string."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        """Return the value of a key if it is a whole number (truth values are not)."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def strings(self, key: str) -> Sequence[bytes] | None:
        """Return the value of a key if it is an array of strings."""
        value = self.metadata.get(key)
        return value if isinstance(value, StringArray) else None

    @property
    def architecture(self) -> str:
        """`general.architecture`, or nothing."""
        return self.text("general.architecture") or ""

    def place(self, pair: KvPair) -> str:
        """Return the location of a pair for a finding."""
        return f"{self.name}:{printable(pair.key)}"

    def place_of(self, tensor: TensorEntry) -> str:
        """Return the location of a tensor for a finding."""
        return f"{self.name}:{printable(tensor.name)}"


def printable(raw: bytes, most: int = 100) -> str:
    """Return bytes as a person can read them: what is not printable text is escaped, what is long is cut."""
    text = raw[: 4 * most].decode("utf-8", "backslashreplace")
    if len(raw) <= most and text.isprintable():
        return text
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= most and len(raw) <= 4 * most else f"{text[: most - 1]}…"


def type_name(kind: int) -> str:
    """Return the name of a GGUF value type, or its number where it has none."""
    return TYPE_NAMES[kind] if 0 <= kind < len(TYPE_NAMES) else f"unknown type {kind}"
