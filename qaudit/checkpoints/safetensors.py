"""A bounded reader of one safetensors file: its header, and the bytes of a tensor on request.

Format: https://huggingface.co/docs/safetensors (an 8-byte little-endian length, a JSON header, the
data). The rules of the reference implementation hold, and duplicate keys are refused, which two JSON
parsers may read differently. Nothing is allocated before its size was checked against the file.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from qaudit.checkpoints.file_stamps import Stamp, file_stamp, read_stamped
from qaudit.checkpoints.raw_tensors import BITS, RawTensor
from qaudit.errors import LimitExceeded, MalformedFile
from qaudit.files import open_regular, unreadable
from qaudit.strict_json import load_strict

MAX_HEADER = 100_000_000  # bytes, the cap of the reference implementation
MAX_TENSORS = 1_000_000
MAX_DIMENSIONS = 8
MAX_NAME = 4096
LFS_POINTER = b"version "


@dataclass(frozen=True, slots=True)
class SafeTensor:
    """One entry of the header.

    Attributes:
        shape: outermost first, as in torch.
        offset: absolute, in bytes from the start of the file.
        size: bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class SafetensorsFile:
    """The parsed header of one file; `stamp` is of the open file that was parsed."""

    path: Path
    metadata: dict[str, str]
    tensors: dict[str, SafeTensor]
    size: int
    stamp: Stamp

    def read(self, tensor: SafeTensor, start: int = 0, stop: int | None = None) -> RawTensor:
        """Return a tensor, or its entries [start, stop) along the first dimension.

        Raises:
            InputError: the file cannot be read or is not the one that was parsed any more.
        """
        shape, offset, size = tensor.shape, tensor.offset, tensor.size
        if shape and (start, stop) != (0, None):
            stop = shape[0] if stop is None else stop
            entry = size // shape[0] if shape[0] else 0
            offset, size, shape = offset + start * entry, (stop - start) * entry, (stop - start, *shape[1:])
        return RawTensor(tensor.dtype, shape, read_stamped(self.path, self.stamp, offset, size))


def read_safetensors(path: Path) -> SafetensorsFile:
    """Parse one file's header.

    Raises:
        InputError: the file cannot be read.
        MalformedFile: the bytes are not safetensors, or lie about themselves.
        LimitExceeded: a length or count is over its cap.
    """
    with open_regular(path) as stream:
        try:
            stamp = file_stamp(os.fstat(stream.fileno()))
            header, start = _header(path, stream, stamp[2])
        except OSError as error:
            raise unreadable(path, error) from error
    metadata = _metadata(path, header.pop("__metadata__", {}))
    if len(header) > MAX_TENSORS:
        raise LimitExceeded(path, f"{len(header)} tensors, more than {MAX_TENSORS}")
    tensors = {name: _tensor(path, name, entry, start) for name, entry in header.items()}
    _require_contiguous(path, tensors, start, stamp[2])
    return SafetensorsFile(path, metadata, tensors, stamp[2], stamp)


def _header(path: Path, stream: BinaryIO, size: int) -> tuple[dict[str, object], int]:
    first = stream.read(8)
    if first == LFS_POINTER:
        raise MalformedFile(path, "a Git LFS pointer, not the weights", "run: git lfs pull")
    if len(first) < 8:
        raise MalformedFile(path, f"{len(first)} bytes are too few for safetensors")
    length = int.from_bytes(first, "little")
    if length > MAX_HEADER:
        raise LimitExceeded(path, f"a header of {length} bytes, more than {MAX_HEADER}", "is it safetensors?")
    if length > size - 8:
        raise MalformedFile(path, f"truncated: a header of {length} bytes, {size - 8} left")
    raw = stream.read(length)
    if not raw.startswith(b"{"):
        raise MalformedFile(path, "the header does not begin with '{'")
    try:
        header = load_strict(raw)
    except ValueError as error:
        raise MalformedFile(path, f"header: {error}") from error
    if not isinstance(header, dict):
        raise MalformedFile(path, "the header is not an object")
    return header, 8 + length


def _metadata(path: Path, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise MalformedFile(path, "__metadata__ is not an object of strings")
    return value


def _tensor(path: Path, name: str, entry: object, start: int) -> SafeTensor:
    shown = ascii(name[:80])
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise MalformedFile(path, f"{shown} is not a tensor's name")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise MalformedFile(path, f"tensor {shown}: not dtype, shape and data_offsets")
    dtype, shape = entry["dtype"], entry["shape"]
    offsets = entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise MalformedFile(path, f"tensor {shown}: unknown dtype {ascii(dtype)[:40]}")
    if not _whole_numbers(shape) or len(shape) > MAX_DIMENSIONS:
        raise MalformedFile(path, f"tensor {shown}: a shape that is none")
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise MalformedFile(path, f"tensor {shown}: data_offsets that are none")
    bits = math.prod(shape) * BITS[dtype]
    size = offsets[1] - offsets[0]
    if bits != 8 * size:
        raise MalformedFile(path, f"tensor {shown}: {size} bytes for {dtype} of {shape}, {bits / 8:g} needed")
    return SafeTensor(name, dtype, tuple(shape), start + offsets[0], size)


def _whole_numbers(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 1 << 63 for v in value
    )


def _require_contiguous(path: Path, tensors: dict[str, SafeTensor], start: int, size: int) -> None:
    end = start
    for tensor in sorted(tensors.values(), key=lambda t: (t.offset, t.size)):
        if tensor.offset != end:
            kind = "overlaps the one before" if tensor.offset < end else "leaves a hole before it"
            raise MalformedFile(path, f"tensor {tensor.name[:80]!a} {kind}, at byte {tensor.offset}")
        end = tensor.offset + tensor.size
        if end > size:
            raise MalformedFile(
                path, f"truncated: tensor {tensor.name[:80]!a} ends at byte {end}, the file at {size}"
            )
    if end != size:
        raise MalformedFile(path, f"{size - end} bytes after the last tensor belong to nothing")
