"""A solution as a GGUF: its own superblocks where it has them, ggml's quantizer for all else.

Parameters of transformers go back to where llama.cpp wants them by the tables that qaudit reads GGUFs
with (`checkpoints.tensor_names`): rows of query and key in rotary pairs, norms with what the converter
adds, fused matrices as one. Rows are whole blocks, so that packed rows are reordered as they are.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qaudit.checkpoints.file_stamps import read_stamped
from qaudit.checkpoints.gguf import GgufFile, GgufTensor
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.gguf_split import read_split
from qaudit.checkpoints.model_sizes import read_sizes
from qaudit.checkpoints.tensor_names import Parameter, parameters
from qaudit.errors import InputError
from realign.gguf_file import NewTensor, write_gguf_file
from realign.grids.ggml_quantizer import ggml_quantized
from realign.job import Solution
from realign.superblock_linear import SuperblockLinear

FLOAT_TYPES = ("F32", "F16", "BF16")
EMBEDDINGS, OUTPUT = "token_embd", "output"
WEIGHT = ".weight"
ELEMENTS_AT_ONCE = 1 << 24


@dataclass(frozen=True, slots=True)
class _Piece:
    """Outputs of a parameter that are outputs of a GGUF module, in that module's order."""

    parameter: Parameter
    first: int
    count: int
    start: int


def write_gguf(
    target: Path,
    template: Path,
    kinds: Mapping[str, str],
    solution: Solution,
    floats: Mapping[str, Tensor],
    config: Mapping[str, Any],
    *,
    changed: Mapping[str, int | str] | None = None,
    left_out: Collection[str] = (),
) -> dict[str, str]:
    """Write one GGUF.

    A tensor that the template holds in the wanted type, with the very weights that are wanted, is copied
    from it: what was not touched stays bit for bit, and is not rounded twice.

    Args:
        target: the file; one that is there is replaced.
        template: GGUF whose metadata, tensor names and order are carried over.
        kinds: ggml type of each matrix by GGUF module name ("blk.0.attn_q"); a matrix that is not named
            keeps the template's type. Vectors stay as the template has them.
        solution: what the solver left. A module of it must have the type that `kinds` says.
        floats: the parent's parameters by transformers' name, for all that the solution does not hold.
        config: the model's config.json.
        changed: metadata that are other than the template's.
        left_out: keys of the template that are not carried over.

    Returns:
        How each module was made: "solution", "copied", "quantized" or "stored".

    Raises:
        InputError: the template, the parameters and the configuration are not of one model, or a type
            does not fit.
        OutputProblem: the file cannot be written.
    """
    gguf = GgufCheckpoint(template)
    writer = _Tensors(gguf, kinds, solution, floats, config)
    tensors = writer.table()
    data = (writer.data(t) for t in tensors)
    write_gguf_file(target, gguf.path, tensors, data, changed or {}, left_out)
    return writer.made


class _Tensors:
    def __init__(
        self,
        gguf: GgufCheckpoint,
        kinds: Mapping[str, str],
        solution: Solution,
        floats: Mapping[str, Tensor],
        config: Mapping[str, Any],
    ) -> None:
        self._gguf = gguf
        self._kinds = kinds
        self._solution = solution
        self._floats = floats
        self.made: dict[str, str] = {}
        self._stored: dict[str, tuple[GgufFile, GgufTensor]] = {
            _module(t.name): (shard, t) for shard in read_split(gguf.path) for t in shard.tensors
        }
        modules = frozenset(gguf.names())
        sizes = read_sizes(config)
        vocabulary = gguf.shape(EMBEDDINGS)[0] if EMBEDDINGS in modules else sizes.vocabulary
        self._pieces: dict[str, list[_Piece]] = {}
        names = set()
        for parameter in parameters(sizes, modules, vocabulary):
            names.add(parameter.name)
            first = 0
            for source in parameter.sources:
                piece = _Piece(parameter, first, source.count, source.start)
                self._pieces.setdefault(source.module, []).append(piece)
                first += source.count
        if sizes.tied and OUTPUT in modules:
            # a file may hold the tied matrix twice
            self._pieces[OUTPUT] = self._pieces[EMBEDDINGS]
        self._require_placed(modules, names)

    def table(self) -> list[NewTensor]:
        """Return the tensor table: the template's names, shapes and order, with the new types."""
        return [
            NewTensor(tensor.name, tensor.shape, self._kind(module, tensor))
            for module, (_, tensor) in self._stored.items()
        ]

    def data(self, tensor: NewTensor) -> Iterator[bytes]:
        """Yield a tensor's bytes, in pieces."""
        module = _module(tensor.name)
        pieces = sorted(self._pieces.get(module, []), key=lambda piece: piece.start)
        if not pieces or self._unchanged(module, tensor, pieces):
            self.made[module] = "copied"
            yield from self._copied(module)
            return
        self.made[module] = "stored" if tensor.ggml_type in FLOAT_TYPES else "quantized"
        for piece in pieces:
            encoded = self._solution.encoded.get(_module(piece.parameter.name))
            if encoded is not None:
                self.made[module] = "solution"
                yield _bytes(self._packed(piece, encoded, tensor))
                continue
            for start, stop in _steps(piece, tensor):
                values = self._values(piece, start, stop)
                values = values[None] if values.ndim == 1 else values
                yield _bytes(ggml_quantized(values, tensor.ggml_type).rows)

    def _kind(self, module: str, tensor: GgufTensor) -> str:
        # llama.cpp keeps vectors as floats, whatever the matrices are
        return self._kinds.get(module, tensor.type.name) if len(tensor.shape) > 1 else tensor.type.name

    def _packed(self, piece: _Piece, encoded: object, tensor: NewTensor) -> Tensor:
        name = _module(piece.parameter.name)
        if not isinstance(encoded, SuperblockLinear) or encoded.ggml_type != tensor.ggml_type:
            kind = encoded.ggml_type if isinstance(encoded, SuperblockLinear) else type(encoded).__name__
            raise InputError(f"{name}: the solution holds {kind}, the file is to have {tensor.ggml_type}")
        if encoded.columns != tensor.shape[0]:
            raise InputError(f"{name}: {encoded.columns} columns, the file has {tensor.shape[0]}")
        rows = encoded.rows.cpu()
        return _interleaved(rows, piece.parameter.heads)[piece.first : piece.first + piece.count]

    def _unchanged(self, module: str, tensor: NewTensor, pieces: list[_Piece]) -> bool:
        """Whether the template holds the wanted weights already, in the wanted type."""
        if self._gguf.types()[module] != tensor.ggml_type:
            return False
        if any(_module(piece.parameter.name) in self._solution.encoded for piece in pieces):
            return False
        for piece in pieces:
            for start, stop in _steps(piece, tensor):
                first, last = piece.start + start, piece.start + stop
                if len(tensor.shape) == 1:
                    held = self._gguf.rows(module)[0][first:last]
                else:
                    held = self._gguf.rows(module, first, last)
                if not np.array_equal(held, self._values(piece, start, stop).numpy()):
                    return False
        return True

    def _values(self, piece: _Piece, start: int, stop: int) -> Tensor:
        """Return outputs [start, stop) of a piece as the GGUF is to have them, float32."""
        parameter = piece.parameter
        values = self._solution.floats.get(parameter.name, self._floats.get(parameter.name))
        if values is None:
            raise InputError(f"the parent has no {parameter.name}, which {self._gguf.path} needs")
        if tuple(values.shape) != parameter.shape:
            raise InputError(f"{parameter.name}: {tuple(values.shape)}, the file needs {parameter.shape}")
        values = values.detach().reshape(-1, parameter.shape[-1]) if values.ndim > 1 else values.detach()
        first, last = piece.first + start, piece.first + stop
        if parameter.heads:
            # whole heads are reordered, as they lie
            size = len(values) // parameter.heads
            begin, end = first // size, -(-last // size)
            heads = values[begin * size : end * size]
            chosen = _interleaved(heads, end - begin)[first - begin * size : last - begin * size]
        else:
            chosen = values[first:last]
        chosen = chosen.to("cpu", torch.float32)
        return (chosen + parameter.offset if parameter.offset else chosen).contiguous()

    def _copied(self, module: str) -> Iterator[bytes]:
        shard, tensor = self._stored[module]
        for start in range(0, tensor.size, ELEMENTS_AT_ONCE):
            length = min(ELEMENTS_AT_ONCE, tensor.size - start)
            yield read_stamped(shard.path, shard.stamp, tensor.offset + start, length)

    def _require_placed(self, modules: frozenset[str], names: set[str]) -> None:
        """Check that nothing of the solution would be lost."""
        given = {*self._solution.floats, *(f"{name}{WEIGHT}" for name in self._solution.encoded)}
        lost = sorted(given - names)
        if lost:
            raise InputError(f"{self._gguf.path}: has no place for {lost[0]}; is it the same model?")
        unknown = sorted(set(self._kinds) - modules)
        if unknown:
            raise InputError(f"{self._gguf.path}: has no {unknown[0]}; is the plan for another model?")


def _interleaved(rows: Tensor, heads: int) -> Tensor:
    """Reorder rows of query or key from rotary halves to llama.cpp's adjacent pairs; 0 heads: as they are."""
    if not heads:
        return rows
    size = len(rows) // heads
    return rows.reshape(heads, 2, size // 2, -1).transpose(1, 2).reshape(rows.shape)


def _steps(piece: _Piece, tensor: NewTensor) -> Iterator[tuple[int, int]]:
    """Yield ranges of a piece's outputs that are not too much at once; a vector is one."""
    step = piece.count if len(tensor.shape) == 1 else max(1, ELEMENTS_AT_ONCE // tensor.shape[0])
    for start in range(0, piece.count, step):
        yield start, min(start + step, piece.count)


def _module(name: str) -> str:
    return name.removesuffix(WEIGHT)


def _bytes(rows: Tensor) -> bytes:
    return rows.contiguous().numpy().tobytes()
