"""A bounded reader of one GGUF v2 or v3 file: header, metadata, tensor table.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. No tensor data is read here. Every
count and length is checked against the bytes that remain, in Python's unbounded integers, before
anything is allocated. Big-endian files are recognised and refused.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf.constants import GGMLQuantizationType

from qaudit.checkpoints.codecs.ggml import BLOCKS
from qaudit.checkpoints.file_stamps import Stamp, file_stamp
from qaudit.checkpoints.gguf_cursor import U32, GgufCursor
from qaudit.errors import MalformedFile
from qaudit.files import open_regular, unreadable

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 1 << 20
MAX_METADATA = 1 << 16
MAX_TENSORS = 100_000
MAX_TENSOR_NAME = 63  # bytes; GGML_MAX_NAME is 64 with its closing NUL
MAX_DIMENSIONS = 4
# what people download by mistake, by its first bytes
OTHER_FILES = {
    b"vers": ("a Git LFS pointer, not the weights", "run: git lfs pull"),
    b"PK\3\4": ("a zip archive (a PyTorch checkpoint?), not a GGUF file", "convert it to GGUF"),
    b"lmgg": ("a GGML file from before GGUF", "convert the original model again"),
    b"fmgg": ("a GGML file from before GGUF", "convert the original model again"),
    b"tjgg": ("a GGML file from before GGUF", "convert the original model again"),
}


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One entry of the tensor table.

    Attributes:
        shape: as stored, innermost first: (columns, rows, ...).
        offset: absolute, in bytes from the start of the file.
        size: bytes of the packed data.
    """

    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    offset: int
    size: int

    @property
    def elements(self) -> int:
        """Number of weights."""
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count


@dataclass(frozen=True, slots=True)
class GgufFile:
    """The parsed header of one GGUF file.

    Attributes:
        metadata: values are plain Python (a str may hold surrogate escapes) or 1-d numpy arrays.
        data_start: first byte after the header and its padding.
        stamp: of the open file that was parsed, see `file_stamp`.
    """

    path: Path
    version: int
    metadata: dict[str, Any]
    tensors: tuple[GgufTensor, ...]
    alignment: int
    data_start: int
    size: int
    stamp: Stamp


def read_gguf(path: Path) -> GgufFile:
    """Parse one file's header.

    Raises:
        InputError: the file cannot be read.
        MalformedFile: the bytes are not a GGUF that llama.cpp could load.
        LimitExceeded: a count or length is over its cap.
    """
    with open_regular(path) as stream:
        try:
            return _read(GgufCursor(path, stream), file_stamp(os.fstat(stream.fileno())))
        except OSError as error:
            raise unreadable(path, error) from error


def _read(cursor: GgufCursor, stamp: Stamp) -> GgufFile:
    version, tensor_count, metadata_count = _preamble(cursor)
    metadata: dict[str, Any] = {}
    for _ in range(metadata_count):
        at = cursor.offset
        key = cursor.key()
        if key in metadata:
            raise cursor.malformed(f"key {key!r:.80} at byte {at} is there twice")
        kind = cursor.u32()
        if key == "general.alignment" and kind != U32:
            raise cursor.malformed(f"general.alignment is of type {kind}, not an unsigned 32-bit number")
        metadata[key] = cursor.value(kind)
    alignment = _alignment(cursor, metadata)
    table = [_tensor_entry(cursor) for _ in range(tensor_count)]
    data_start = _padded(cursor.offset, alignment)
    tensors = _placed(cursor, table, data_start, alignment)
    return GgufFile(cursor.path, version, metadata, tensors, alignment, data_start, cursor.size, stamp)


def _preamble(cursor: GgufCursor) -> tuple[int, int, int]:
    magic = cursor.take(4) if cursor.size >= 4 else b""
    if magic != MAGIC:
        unknown = ("not a GGUF file (no GGUF magic at byte 0)", "give a .gguf file")
        raise MalformedFile(cursor.path, *OTHER_FILES.get(magic, unknown))
    version = cursor.u32()
    if version & 0xFFFF == 0 and version:
        raise MalformedFile(
            cursor.path, "big-endian GGUF", "convert it to little-endian with gguf-convert-endian"
        )
    if version not in VERSIONS:
        raise MalformedFile(cursor.path, f"GGUF version {version}; qaudit reads 2 and 3", "convert it again")
    tensor_count, metadata_count = cursor.u64(), cursor.u64()
    # the smallest tensor entry has 8+1+4+8+4+8 bytes, the smallest pair 8+1+4+1
    cursor.bounded("tensor count", tensor_count, 33, MAX_TENSORS)
    cursor.bounded("metadata count", metadata_count, 14, MAX_METADATA)
    return version, tensor_count, metadata_count


def _alignment(cursor: GgufCursor, metadata: dict[str, Any]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not 1 <= value <= MAX_ALIGNMENT or value & (value - 1):
        raise cursor.malformed(f"general.alignment is {value}, not a power of two up to {MAX_ALIGNMENT}")
    return int(value)


def _tensor_entry(cursor: GgufCursor) -> tuple[str, tuple[int, ...], int, int]:
    at = cursor.offset
    raw = cursor.string_bytes(MAX_TENSOR_NAME, "tensor name")
    name = raw.decode("utf-8", errors="replace")
    if not name or not name.isprintable() or "\ufffd" in name:
        raise cursor.malformed(f"tensor name at byte {at} is empty or not printable text")
    dimensions = cursor.u32()
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise cursor.malformed(f"tensor {name!r} has {dimensions} dimensions, not 1 to {MAX_DIMENSIONS}")
    shape = tuple(cursor.u64() for _ in range(dimensions))
    return name, shape, cursor.u32(), cursor.u64()


def _placed(
    cursor: GgufCursor, table: list[tuple[str, tuple[int, ...], int, int]], data_start: int, alignment: int
) -> tuple[GgufTensor, ...]:
    tensors = []
    seen: set[str] = set()
    expected = 0
    for name, shape, type_id, offset in table:
        if name in seen:
            raise cursor.malformed(f"tensor {name!r} is there twice")
        seen.add(name)
        kind, size = _packed_size(cursor, name, shape, type_id)
        if offset != expected:
            raise cursor.malformed(
                f"tensor {name!r} starts at {offset}, not at {expected} where the one before it ends"
            )
        if data_start + offset + size > cursor.size:
            raise cursor.malformed(
                f"truncated: tensor {name!r} ends at byte {data_start + offset + size}, "
                f"the file at {cursor.size}"
            )
        expected = offset + _padded(size, alignment)
        tensors.append(GgufTensor(name, shape, kind, data_start + offset, size))
    return tuple(tensors)


def _packed_size(
    cursor: GgufCursor, name: str, shape: tuple[int, ...], type_id: int
) -> tuple[GGMLQuantizationType, int]:
    try:
        kind = GGMLQuantizationType(type_id)
    except ValueError as error:
        raise cursor.malformed(
            f"tensor {name!r} has unknown type {type_id}", "a fork may have written it"
        ) from error
    if kind not in BLOCKS:
        raise cursor.malformed(f"tensor {name!r} has type {kind.name}, which is not for files")
    block, block_bytes = BLOCKS[kind]
    elements = 1
    for dimension in shape:
        elements *= dimension
        if not 0 < dimension < 1 << 63 or elements >= 1 << 63:
            raise cursor.malformed(f"tensor {name!r} has impossible dimensions {shape}")
    if shape[0] % block:
        raise cursor.malformed(
            f"tensor {name!r}: rows of {shape[0]} are not whole blocks of {block} ({kind.name})"
        )
    return kind, elements // block * block_bytes


def _padded(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) // alignment * alignment
