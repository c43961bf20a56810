"""Builds GGUF files byte by byte, so that every field can lie.

Counts, lengths, offsets and padding are worked out from the content unless a test gives others.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
FORMATS = {
    U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i",
    F32: "f", BOOL: "?", U64: "Q", I64: "q", F64: "d",
}  # fmt: skip
# ggml type -> (weights, bytes) of a block, written down by hand: the reader's table is under test
BLOCK = {0: (1, 4), 1: (1, 2), 2: (32, 18), 8: (32, 34), 12: (256, 144), 14: (256, 210)}


def string(text: str | bytes, length: int | None = None) -> bytes:
    """A length-prefixed string; `length` lies about it."""
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw) if length is None else length) + raw


def array(kind: int, items: list[Any], count: int | None = None) -> bytes:
    """Element type, count, elements; `count` lies. Bytes are taken as packed already, except for STRING."""
    body = b"".join(value(kind, item) for item in items)
    return struct.pack("<IQ", kind, len(items) if count is None else count) + body


def value(kind: int, content: Any) -> bytes:
    """A value without its type id; an array's content is (element kind, list) or (.., .., count)."""
    if kind == STRING:
        return string(content)
    if isinstance(content, bytes):
        return content
    if kind == ARRAY:
        return array(*content)
    return struct.pack("<" + FORMATS[kind], content)


def strings(items: list[Any]) -> tuple[int, list[Any]]:
    """The content of an array of strings."""
    return STRING, items


@dataclass
class Tensor:
    """A tensor table entry; `data` is written at its place when the file is built."""

    name: str | bytes = "blk.0.attn_q.weight"
    shape: tuple[int, ...] = (32, 2)
    type: int = 0
    data: bytes = b"\0" * 256
    offset: int | None = None
    dimensions: int | None = None
    name_length: int | None = None

    @classmethod
    def full(cls, name: str, shape: tuple[int, ...], kind: int = 0) -> "Tensor":
        """A tensor with as many bytes as it needs, in a pattern that shows when they are misplaced."""
        block, size = BLOCK[kind]
        elements = 1
        for dimension in shape:
            elements *= dimension
        return cls(name, shape, kind, bytes((len(name) + i) % 251 for i in range(elements // block * size)))


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
            dimensions = len(tensor.shape) if tensor.dimensions is None else tensor.dimensions
            out += string(tensor.name, tensor.name_length) + struct.pack("<I", dimensions)
            out += b"".join(struct.pack("<Q", d) for d in tensor.shape)
            out += struct.pack("<IQ", tensor.type, offset if tensor.offset is None else tensor.offset)
            padded = tensor.data + b"\0" * (-len(tensor.data) % self.alignment)
            data += padded
            offset += len(padded)
        out += b"\0" * (-len(out) % self.alignment)
        return out + data + self.tail

    def write(self, path: Path) -> Path:
        """Write the file; return its path."""
        path.write_bytes(self.build())
        return path


def split_pairs(number: int, count: int, tensors: int | None = None) -> list[tuple[str | bytes, int, Any]]:
    """The keys of a shard, with the types that llama.cpp and gguf-py give them."""
    pairs: list[tuple[str | bytes, int, Any]] = [("split.no", U16, number), ("split.count", U16, count)]
    return pairs if tensors is None else [*pairs, ("split.tensors.count", I32, tensors)]


def small_model() -> GgufBuilder:
    """An honest little model: every value type once, a tokenizer, three tensors."""
    pairs: list[tuple[str | bytes, int, Any]] = [
        ("general.architecture", STRING, "llama"),
        ("general.file_type", U32, 7),
        *((f"lab.{kind}", kind, 5) for kind in (U8, I8, U16, I16, U32, I32)),
        ("lab.half", F32, 0.5),
        ("lab.flag", BOOL, True),
        ("lab.quarter", F64, 0.25),
        ("lab.large", U64, 1 << 40),
        ("lab.negative", I64, -(1 << 40)),
        ("lab.numbers", ARRAY, (I32, [1, -2, 3])),
        ("lab.nothing", ARRAY, (F32, [])),
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.tokens", ARRAY, strings(["<s>", "</s>", "a", "é"])),
        ("tokenizer.ggml.token_type", ARRAY, (I32, [3, 3, 1, 1])),
        ("tokenizer.ggml.bos_token_id", U32, 0),
        ("tokenizer.ggml.eos_token_id", U32, 1),
        ("tokenizer.chat_template", STRING, "{{ bos_token }}{{ messages[0].content }}"),
    ]
    tensors = [
        Tensor.full("token_embd.weight", (32, 4)),
        Tensor.full("blk.0.attn_q.weight", (64, 3), 8),
        Tensor.full("output_norm.weight", (33,)),
    ]
    return GgufBuilder(pairs=pairs, tensors=tensors)
