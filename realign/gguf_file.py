"""A GGUF with another's metadata: keys are copied byte for byte, tensors are new.

So the tokenizer, the chat template and all that a runtime is told stay what they were, also what this
program does not know.
"""

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gguf.constants import GGMLQuantizationType

from qaudit.checkpoints.codecs.ggml import BLOCKS
from qaudit.checkpoints.gguf import DEFAULT_ALIGNMENT, MAGIC, read_gguf
from qaudit.checkpoints.gguf_cursor import GgufCursor
from qaudit.errors import InputError
from qaudit.files import file_written_whole, open_regular

VERSION = 3
ALIGNMENT_KEY = "general.alignment"
# of one file of a set, or of how its weights were made: the new file is neither
DROPPED = ("split.", "quantize.imatrix.")
_U32, _STRING = 4, 8


@dataclass(frozen=True, slots=True)
class NewTensor:
    """One entry of the tensor table.

    Attributes:
        name: with its ".weight" or ".bias".
        shape: as stored, innermost first.
        ggml_type: ggml's name.
    """

    name: str
    shape: tuple[int, ...]
    ggml_type: str

    @property
    def size(self) -> int:
        """Bytes of the data."""
        block, size = BLOCKS[GGMLQuantizationType[self.ggml_type]]
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count // block * size


def write_gguf_file(
    path: Path,
    template: Path,
    tensors: Sequence[NewTensor],
    data: Iterable[Iterable[bytes]],
    changed: Mapping[str, int | str],
    left_out: Collection[str] = (),
) -> None:
    """Write a file whole, under a temporary name until it is on disk.

    Args:
        path: the file; one that is there is replaced.
        template: GGUF whose metadata are carried over (of a split set, its first file).
        tensors: in their order in the file.
        data: of each tensor its bytes, in pieces.
        changed: metadata that are other than the template's, or new; a number is stored in 32 bits.
        left_out: keys of the template that are not carried over.

    Raises:
        InputError: the template is not readable, or a tensor's bytes are not as many as its shape says.
        OutputProblem: the file cannot be written.
    """
    header, alignment = header_bytes(template, tensors, changed, left_out)
    with file_written_whole(path) as stream:
        stream.write(header)
        for tensor, pieces in zip(tensors, data, strict=True):
            written = sum(_write(stream, piece) for piece in pieces)
            if written != tensor.size:
                raise InputError(f"{tensor.name}: {written} bytes for {tensor.size} of {tensor.ggml_type}")
            stream.write(bytes(-written % alignment))


def header_bytes(
    template: Path,
    tensors: Sequence[NewTensor],
    changed: Mapping[str, int | str],
    left_out: Collection[str] = (),
) -> tuple[bytes, int]:
    """Return all that goes before the tensors' data, and the alignment of the data.

    Raises:
        InputError: the template is not readable.
    """
    gone = {*changed, *left_out, ALIGNMENT_KEY}
    kept = {
        key: raw for key, raw in _stored_pairs(template) if not key.startswith(DROPPED) and key not in gone
    }
    pairs = [*kept.values(), *(_pair(key, value) for key, value in changed.items())]
    table: list[bytes] = []
    offset = 0
    for tensor in tensors:
        name = tensor.name.encode()
        table.append(struct.pack("<Q", len(name)) + name)
        table.append(struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape))
        table.append(struct.pack("<IQ", int(GGMLQuantizationType[tensor.ggml_type]), offset))
        offset += tensor.size + -tensor.size % DEFAULT_ALIGNMENT
    header = b"".join([MAGIC, struct.pack("<IQQ", VERSION, len(tensors), len(pairs)), *pairs, *table])
    return header + bytes(-len(header) % DEFAULT_ALIGNMENT), DEFAULT_ALIGNMENT


def _stored_pairs(template: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each key with the bytes of its whole entry."""
    read_gguf(template)  # what is walked below is known to be well formed
    with open_regular(template) as stream:
        cursor = GgufCursor(template, stream)
        cursor.take(len(MAGIC))
        cursor.u32()
        _, count = cursor.u64(), cursor.u64()
        spans = []
        for _ in range(count):
            start = cursor.offset
            key = cursor.key()
            cursor.value(cursor.u32())
            spans.append((key, start, cursor.offset))
        for key, start, end in spans:
            stream.seek(start)
            yield key, stream.read(end - start)


def _pair(key: str, value: int | str) -> bytes:
    name = key.encode("ascii")
    head = struct.pack("<Q", len(name)) + name
    if isinstance(value, int):
        return head + struct.pack("<II", _U32, value)
    text = value.encode()
    return head + struct.pack("<IQ", _STRING, len(text)) + text


def _write(stream: BinaryIO, piece: bytes) -> int:
    stream.write(piece)
    return len(piece)
