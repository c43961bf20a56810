"""What was written, read again by `qaudit.checkpoints` and held against what was meant, row by row.

So that an audit, which reads with the same code, sees the very weights that a solver left.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf.constants import GGMLQuantizationType
from torch import Tensor

from qaudit.checkpoints.codecs.ggml import BLOCKS
from qaudit.checkpoints.gguf_as_hf import EMBEDDINGS, GgufAsHf
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.checkpoints.tensor_names import Parameter, parameters
from qaudit.errors import OutputProblem
from realign.grids.grid import Encoded
from realign.job import Solution

FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
WEIGHT = ".weight"
ELEMENTS_AT_ONCE = 1 << 24
# of a sum with 1 and back, as Gemma's norms are stored
OFFSET_ERROR = 2.0**-22
AGAIN = "is the disk sound? run again"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was compared.

    Attributes:
        exact: parameters whose every weight is the one that was meant.
        near: parameters that ggml's quantizer rounded, which were only held against a bound.
        weights: number of weights of all.
        worst: the largest relative error (Euclidean norms) of those that are near.
    """

    exact: int
    near: int
    weights: int
    worst: float


def verify_gguf(
    path: Path, solution: Solution, floats: Mapping[str, Tensor], config: Mapping[str, Any]
) -> Verified:
    """Compare a GGUF with a solution and its parent.

    The solution's matrices and everything that is stored as floats must be exact; what ggml's quantizer
    made of the rest may be off by what its bits allow, so that a matrix in a wrong place or order shows.

    Args:
        path: the file.
        solution: what was written.
        floats: the parent's parameters, for all that the solution does not hold.
        config: the model's config.json.

    Raises:
        OutputProblem: a parameter reads back as something else, or is missing.
        InputError: the file is not readable.
    """
    checkpoint = GgufCheckpoint(path)
    view = GgufAsHf(checkpoint, config)
    types, exact, near, weights, worst = checkpoint.types(), 0, 0, 0, 0.0
    rows = checkpoint.shape(EMBEDDINGS)[0]
    for parameter in parameters(view.sizes, frozenset(checkpoint.names()), rows):
        name, module = parameter.name, parameter.name.removesuffix(WEIGHT)
        kinds = {types[source.module] for source in parameter.sources}
        encoded = solution.encoded.get(module)
        meant: Tensor | Encoded | None = encoded
        if encoded is None:
            meant = solution.floats.get(name, floats.get(name))
        if meant is None:
            raise OutputProblem(f"{path}: {name} was in neither the solution nor the parent; {AGAIN}")
        values = _matrix(meant)
        weights += values.numel()
        if encoded is None and not kinds <= FLOATS.keys():
            near, worst = near + 1, max(worst, _require_near(path, parameter, view, values, kinds))
            continue
        if encoded is None and kinds:
            # a float that was stored with fewer bits
            values = values.to(FLOATS[kinds.pop()]).float()
        slack = OFFSET_ERROR if parameter.offset else 0.0
        _require_exact(path, name, values, _rows(view, name, values), slack)
        exact += 1
    return Verified(exact, near, weights, worst)


def verify_folder(path: Path, meant: Mapping[str, Tensor | Encoded]) -> Verified:
    """Compare a folder with what it was to hold.

    Args:
        path: the folder.
        meant: the weights of every parameter as a reader decodes them, by parameter name.

    Raises:
        OutputProblem: a parameter reads back as something else, is missing or was not meant.
        InputError: the folder is not readable.
    """
    checkpoint = open_checkpoint(path)
    held = set(checkpoint.names())
    weights = 0
    for name, entry in meant.items():
        module = name if name in held else name.removesuffix(WEIGHT)
        if module not in held:
            raise OutputProblem(f"{path}: lacks {name[:100]!a}; {AGAIN}")
        held.remove(module)
        values = _matrix(entry)
        weights += values.numel()
        if checkpoint.shape(module) != tuple(values.shape):
            raise OutputProblem(f"{path}: {name[:100]!a} reads back as {checkpoint.shape(module)}; {AGAIN}")
        pieces = ((start, checkpoint.rows(module, start, stop)) for start, stop in _steps(values))
        _require_exact(path, name, values, pieces, 0.0)
    if held:
        raise OutputProblem(f"{path}: holds {min(held)[:100]!a}, which was not meant; {AGAIN}")
    return Verified(len(meant), 0, weights, 0.0)


def _rows(view: GgufAsHf, name: str, values: Tensor) -> Iterator[tuple[int, FloatArray]]:
    for start, stop in _steps(values):
        yield start, view.rows(name, start, stop)


def _require_exact(
    path: Path, name: str, values: Tensor, pieces: Iterator[tuple[int, FloatArray]], slack: float
) -> None:
    for start, got in pieces:
        wanted = values[start : start + len(got)].float().numpy()
        same = np.abs(got - wanted).max(initial=0) <= slack if slack else np.array_equal(got, wanted)
        if not same:
            raise OutputProblem(f"{path}: {name[:100]!a} does not read back as it was meant; {AGAIN}")


def _require_near(path: Path, parameter: Parameter, view: GgufAsHf, values: Tensor, kinds: set[str]) -> float:
    """Return the relative error; rows of the vocabulary that the file does not hold are left out."""
    off = size = 0.0
    count = sum(source.count for source in parameter.sources)
    for start, got in _rows(view, parameter.name, values[:count]):
        wanted = values[start : start + len(got)].double().numpy()
        off += float(np.square(got - wanted).sum())
        size += float(np.square(wanted).sum())
    relative = (off / size) ** 0.5 if size else off
    # four times what a normal distribution loses; wrong rows are off by the square root of two
    bound = min(0.8, 6 * 2.0 ** (1 - min(_bits(kind) for kind in kinds)))
    if not relative <= bound:
        types = "/".join(sorted(kinds))
        raise OutputProblem(
            f"{path}: {parameter.name} is off by {relative:.3g} of its size, more than {types} loses; {AGAIN}"
        )
    return relative


def _matrix(meant: Tensor | Encoded) -> Tensor:
    values = (meant if isinstance(meant, Tensor) else meant.weight()).detach().cpu()
    return values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values[None]


def _steps(values: Tensor) -> Iterator[tuple[int, int]]:
    step = max(1, ELEMENTS_AT_ONCE // values.shape[1])
    for start in range(0, len(values), step):
        yield start, min(start + step, len(values))


def _bits(kind: str) -> float:
    block, size = BLOCKS[GGMLQuantizationType[kind]]
    return 8 * size / block
