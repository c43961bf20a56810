"""Gives an ablated model back what it may write: the directions that were taken out, from the reference.

Ablation of v is W' = W - t v v^T W in every matrix that writes to the residual stream, and may be
E' = E - t (E v) v^T in the embeddings and the output matrix. Where the reference
is at hand, v is found from the weights alone (`qaudit.weights`), also under the noise of four bits, and
v^T W' is put back to v^T W of the reference. All else, a fine-tune among it, stays the checkpoint's own.
Where there is nothing else (`diagnosis`), the reference itself is the parent, and nothing is to be restored.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.errors import InputError
from qaudit.weights.ablation import MatrixEvidence, WeightEvidence, gather
from qaudit.weights.low_rank import Columns
from qaudit.weights.matched_filter import LEAST_STRENGTH, strengths
from qaudit.weights.matrix_pairs import WRITERS, MatrixPair
from realign.job import Job, Solution, Solver, Step
from realign.model_pairs import model_pairs
from realign.solvers.searched_rounding import SearchedRounding

RESTORED, DIRECTION, STRENGTH = "restored:", "direction", "strength:"


class Restore:
    """Restores, then lets another solver round; the first step is the restoration.

    Args:
        then: what rounds the restored parent.
    """

    def __init__(self, then: Solver | None = None) -> None:
        self.then: Solver = then or SearchedRounding()

    def count(self, job: Job) -> int:
        """Return one step more than the rounding has."""
        return 1 + self.then.count(job)

    def steps(self, job: Job, done: Sequence[Step]) -> Iterator[Step]:
        """Restore unless that is done, then round.

        Raises:
            InputError: no direction was taken out of the parent, or its family is not known here.
        """
        if done:
            first = done[0]
        else:
            first = _restoration(job)
            yield first
        _apply(job.parent, first)
        yield from self.then.steps(job, done[1:])

    def solution(self, job: Job, steps: Sequence[Step]) -> Solution:
        """Return the rounded matrices; a restored one that is not rounded is among the floats."""
        _apply(job.parent, steps[0])
        rounded = self.then.solution(job, steps[1:])
        floats = {
            f"{module}.weight": tensor
            for module, tensor in _restored(steps[0]).items()
            if module not in rounded.encoded
        }
        found = {
            name.removeprefix(STRENGTH): float(tensor)
            for name, tensor in steps[0].tensors.items()
            if name.startswith(STRENGTH)
        }
        figures = {**rounded.figures, "restored": found}
        return Solution(rounded.encoded, {**rounded.floats, **floats}, figures)


def _restoration(job: Job) -> Step:
    started = time.monotonic()
    pairs = model_pairs(job.parent, job.reference)
    evidence = gather(pairs, {}, job.seed)
    if evidence.kind == "identical":
        # the parent is the reference: there is nothing that would have to be given back
        return Step("restore", {}, {}, time.monotonic() - started)
    if evidence.kind != "directional_ablation" or evidence.direction is None:
        raise InputError(f"nothing to restore: {evidence.sentence}; choose --method auto, or another method")
    tensors: dict[str, Tensor] = {DIRECTION: _tensor(evidence.direction)}
    before, after = [], []
    of_blocks = {found.name: found for found in evidence.matrices}
    of_tokens = {found.name: found for found in evidence.tokens if found.ablated}
    for pair in pairs:
        restored: tuple[Columns | FloatArray, float] | None = None
        if pair.name in of_tokens:
            strength = of_tokens[pair.name].strength
            restored = _restored_rows(pair, of_tokens[pair.name].directions)
        elif pair.name in of_blocks:
            strength = of_blocks[pair.name].strength
            directions = _directions(of_blocks[pair.name], evidence)
            restored = None if directions is None else _restored_weight(pair, directions)
        if restored is None:
            continue
        tensors[RESTORED + pair.name] = _tensor(restored[0])
        tensors[STRENGTH + pair.name] = torch.tensor(strength)
        before.append(abs(strength))
        after.append(restored[1])
    losses = {
        "ablation strength.before": float(np.mean(before)),
        "ablation strength.after": float(np.mean(after)),
    }
    return Step("restore", tensors, losses, time.monotonic() - started)


def _directions(matrix: MatrixEvidence, evidence: WeightEvidence) -> Columns | None:
    """Return what was taken out of a matrix, orthonormal [O, M]; None for nothing.

    The direction that all layers agree on is known best; a tool may have taken others out of some layers.
    """
    if matrix.role not in WRITERS or evidence.direction is None:
        return None
    if not matrix.ablated and abs(matrix.strength) < LEAST_STRENGTH:
        return None
    columns: Columns = np.linalg.qr(np.column_stack([evidence.direction, matrix.directions]))[0]
    return columns


def _restored_weight(pair: MatrixPair, directions: Columns) -> tuple[Columns, float]:
    """Return the parent's matrix with the reference's part along the directions, and the strength left."""
    blocks = list(pair.blocks())
    reference = np.concatenate([rows for _, rows, _ in blocks]).astype(np.float64)
    candidate = np.concatenate([rows for _, _, rows in blocks]).astype(np.float64)
    restored = candidate + directions @ (directions.T @ (reference - candidate))
    ready = MatrixPair(
        pair.name, pair.layer, pair.role, pair.shape, pair.stored,
        lambda start, stop: (
            reference[start:stop].astype(np.float32), restored[start:stop].astype(np.float32)
        ),
    )  # fmt: skip
    left = float(np.abs(strengths(ready, directions[:, :1])[0]))
    # back into the scales that the parent's other matrices have
    return restored if pair.column_scale is None else restored / pair.column_scale, left


def _restored_rows(pair: MatrixPair, directions: Columns) -> tuple[FloatArray, float]:
    """Return the parent's rows with the reference's part along directions, and the strength left."""
    restored = np.empty(pair.shape, np.float32)
    missing = size = 0.0
    for rows, reference, candidate in pair.blocks():
        change = reference.astype(np.float64) - candidate
        restored[rows] = candidate + (change @ directions) @ directions.T
        off = (reference.astype(np.float64) - restored[rows]) @ directions[:, 0]
        size += float(np.square(reference @ directions[:, 0]).sum())
        missing += float(off @ (reference @ directions[:, 0]))
    return restored, abs(missing / size) if size else 0.0


@torch.no_grad()
def _apply(parent: Any, step: Step) -> None:  # noqa: ANN401
    for module, weight in _restored(step).items():
        parent.get_submodule(module).weight.copy_(weight)


def _restored(step: Step) -> dict[str, Tensor]:
    return {
        name.removeprefix(RESTORED): tensor
        for name, tensor in step.tensors.items()
        if name.startswith(RESTORED)
    }


def _tensor(values: Columns | FloatArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
