"""Builds GGUF files byte by byte, so that every field can lie."""

import struct
from dataclasses import dataclass, field
from typing import Any

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_FORMATS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q", I64: "q", F64: "d"}


def string(text: str | bytes, length: int | None = None) -> bytes:
    """A length-prefixed string; `length` lies about it."""
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw) if length is None else length) + raw


def value(kind: int, content: Any) -> bytes:
    """A typed value: (kind, content); arrays take (element kind, list)."""
    if kind == STRING:
        return string(content)
    if kind == ARRAY:
        element, items = content
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, i) for i in items)
    return struct.pack("<" + _FORMATS[kind], content)


@dataclass
class Tensor:
    """A tensor table entry; `data` is written at its place when the file is built."""

    name: str | bytes = "blk.0.attn_q.weight"
    shape: tuple[int, ...] = (32, 2)
    type: int = 0
    data: bytes = b"\0" * 256
    offset: int | None = None


@dataclass
class GgufBuilder:
    """A small valid file until a field is changed."""

    magic: bytes = b"GGUF"
    version: int = 3
    pairs: list[tuple[str | bytes, int, Any]] = field(
        default_factory=lambda: [("general.architecture", STRING, "llama")]
    )
    tensors: list[Tensor] = field(default_factory=lambda: [Tensor()])
    tensor_count: int | None = None
    pair_count: int | None = None
    alignment: int = 32
    raw_pairs: bytes = b""
    tail: bytes = b""

    def build(self) -> bytes:
        """Return the file's bytes."""
        out = self.magic + struct.pack("<I", self.version)
        out += struct.pack("<Q", len(self.tensors) if self.tensor_count is None else self.tensor_count)
        out += struct.pack("<Q", len(self.pairs) if self.pair_count is None else self.pair_count)
        for key, kind, content in self.pairs:
            out += string(key) + struct.pack("<I", kind) + value(kind, content)
        out += self.raw_pairs
        data, offset = b"", 0
        for tensor in self.tensors:
            out += string(tensor.name) + struct.pack("<I", len(tensor.shape))
            out += b"".join(struct.pack("<Q", d) for d in tensor.shape)
            out += struct.pack("<IQ", tensor.type, offset if tensor.offset is None else tensor.offset)
            padded = tensor.data + b"\0" * (-len(tensor.data) % self.alignment)
            data += padded
            offset += len(padded)
        out += b"\0" * (-len(out) % self.alignment)
        return out + data + self.tail
