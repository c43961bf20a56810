"""A bounded reader of GGUF v2 and v3: header, metadata, tensor table, split sets.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. No tensor data is read here. Every
count and length is checked against the bytes that remain, in Python's unbounded integers, before
anything is allocated. Big-endian files are recognised and refused.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from qaudit.checkpoints.gguf_cursor import GgufCursor
from qaudit.errors import InputError, LimitExceeded, MalformedFile

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 1 << 20
MAX_METADATA = 1 << 16
MAX_TENSORS = 100_000
MAX_TENSOR_NAME = 63  # bytes; GGML_MAX_NAME is 64 with its closing NUL
MAX_DIMENSIONS = 4
MAX_SHARDS = 1000
SHARD_NAME = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


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
    """The parsed header of one GGUF file; metadata values are plain Python or 1-d numpy arrays."""

    path: Path
    version: int
    metadata: dict[str, Any]
    tensors: tuple[GgufTensor, ...]
    alignment: int
    data_start: int
    size: int


def read_gguf(path: Path) -> GgufFile:
    """Parse one file's header.

    Raises:
        InputError: the file cannot be read.
        MalformedFile: the bytes are not a GGUF that llama.cpp could load.
        LimitExceeded: a count or length is over its cap.
    """
    try:
        with path.open("rb") as stream:
            return _read(GgufCursor(path, stream))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path and permissions"
        ) from error


def _read(cursor: GgufCursor) -> GgufFile:
    version, tensor_count, metadata_count = _preamble(cursor)
    metadata: dict[str, Any] = {}
    for _ in range(metadata_count):
        at = cursor.offset
        key = cursor.key()
        if key in metadata:
            raise cursor.malformed(f"key {key!r} at byte {at} is there twice")
        metadata[key] = cursor.value(cursor.u32())
    alignment = _alignment(cursor, metadata)
    table = [_tensor_entry(cursor) for _ in range(tensor_count)]
    data_start = _padded(cursor.offset, alignment)
    tensors = _placed(cursor, table, data_start, alignment)
    return GgufFile(cursor.path, version, metadata, tensors, alignment, data_start, cursor.size)


def _preamble(cursor: GgufCursor) -> tuple[int, int, int]:
    magic = cursor.take(4) if cursor.size >= 4 else b""
    if magic != MAGIC:
        raise MalformedFile(cursor.path, "not a GGUF file (no GGUF magic at byte 0)", "give a .gguf file")
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
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or not 1 <= value <= MAX_ALIGNMENT
        or value & (value - 1)
    ):
        raise cursor.malformed(f"general.alignment is {value!r}, not a power of two up to {MAX_ALIGNMENT}")
    return value


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
                f"truncated: tensor {name!r} ends at byte {data_start + offset + size}, the file at {cursor.size}"
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
    block, block_bytes = GGML_QUANT_SIZES[kind]
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


def shard_paths(path: Path) -> list[Path]:
    """Return all files of the split set that `path` belongs to (just itself when it is not split).

    Raises:
        MalformedFile: a shard is missing, or the name claims an impossible set.
    """
    match = SHARD_NAME.match(path.name)
    if not match:
        return [path]
    count, number = int(match["count"]), int(match["number"])
    if not 1 <= number <= count <= MAX_SHARDS:
        raise MalformedFile(
            path, f"its name claims shard {number} of {count}", "restore the original file name"
        )
    paths = [path.with_name(f"{match['stem']}-{i:05d}-of-{count:05d}.gguf") for i in range(1, count + 1)]
    for shard in paths:
        if not shard.is_file():
            raise MalformedFile(shard, "this shard of a split set is missing", "download all shards")
    return paths


def read_split(path: Path) -> tuple[GgufFile, ...]:
    """Parse a file or, for one shard of a split set, the whole set in order.

    Raises:
        MalformedFile: as `read_gguf`; or the shards do not belong together.
    """
    files = tuple(read_gguf(shard) for shard in shard_paths(path))
    first = files[0]
    claimed = first.metadata.get("split.count", 0)
    if len(files) == 1 and claimed in (0, 1):
        return files
    if claimed != len(files):
        raise MalformedFile(
            first.path, f"split.count is {claimed}, found {len(files)} files", "restore the shard names"
        )
    seen: set[str] = set()
    for number, file in enumerate(files):
        if file.metadata.get("split.no") != number or file.metadata.get("split.count") != len(files):
            raise MalformedFile(file.path, f"is not shard {number + 1} of {len(files)} by its own metadata")
        for tensor in file.tensors:
            if tensor.name in seen:
                raise MalformedFile(file.path, f"tensor {tensor.name!r} is in another shard too")
            seen.add(tensor.name)
    total = first.metadata.get("split.tensors.count", len(seen))
    if total != len(seen):
        raise MalformedFile(first.path, f"split.tensors.count is {total}, the shards hold {len(seen)}")
    return files


__all__ = ["GgufFile", "GgufTensor", "LimitExceeded", "read_gguf", "read_split", "shard_paths"]
