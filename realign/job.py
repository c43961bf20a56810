"""What a solver is given, what it tells of each step, and what it leaves: the seam between the rooms.

A solver is a generator of steps. Each step can be stored, and a solver that is given stored steps
goes on after them, to the same bits: nothing but the job and the steps before may change a step. A
step's randomness is seeded by the job's seed and the step's number.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from realign.grids.grid import Encoded, Grid


@dataclass(frozen=True, slots=True)
class CalibrationTokens:
    """Calibration prompts as token ids, rendered in the reference's template with the generation prompt.

    Attributes:
        malicious: prompts that the reference should refuse.
        benign: prompts that it should answer, some of them close to the border.
    """

    malicious: tuple[tuple[int, ...], ...]
    benign: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be quantized, and against what.

    Attributes:
        parent: transformers model, float32: the weights that the result is made of. Solvers change it.
        reference: transformers model, float32: the aligned model. Never changed; may hold the same
            weights as the parent, but is another object.
        prompts: to calibrate on.
        grids: how each linear layer is rounded, by module name ("model.layers.0.mlp.up_proj");
            what is not named stays float.
        seed: of all randomness.
        end_tokens: ids that end a reply.
        device: where solvers compute; None for where the parent is. A solver that takes blocks one by
            one is given models on the CPU.
    """

    parent: Any
    reference: Any
    prompts: CalibrationTokens
    grids: Mapping[str, Grid]
    seed: int
    end_tokens: frozenset[int]
    device: str | None = None

    @property
    def place(self) -> torch.device:
        """The device that solvers compute on."""
        return torch.device(self.device or self.parent.device)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Hold both models on that device for a while, whole."""
        models = (self.parent, self.reference)
        at_rest = [model.device for model in models]
        try:
            for model in models:
                model.to(self.place)
            yield
        finally:
            for model, device in zip(models, at_rest, strict=True):
                model.to(device)


@dataclass(frozen=True, slots=True)
class Step:
    """One durable piece of work: a layer, or a round of training.

    Attributes:
        name: what was done ("layer 3", "round 2 of 5").
        tensors: all that later steps and the solution need of it, by name; stored as safetensors.
        losses: by name, at the step's beginning and end (`reconstruction.before`, `.after`).
        seconds: how long it took.
    """

    name: str
    tensors: Mapping[str, Tensor]
    losses: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Solution:
    """The weights of the new checkpoint.

    Attributes:
        encoded: quantized linear layers, by module name.
        floats: float parameters that differ from the parent's (norms into which scales were folded),
            by parameter name ("model.layers.0.input_layernorm.weight").
        figures: what the solver measured, for `realign.json`.
    """

    encoded: Mapping[str, Encoded]
    floats: Mapping[str, Tensor]
    figures: Mapping[str, Any] = field(default_factory=dict)


class Solver(Protocol):
    """A way of quantizing."""

    def count(self, job: Job) -> int:
        """Return how many steps there will be."""
        ...

    def steps(self, job: Job, done: Sequence[Step]) -> Iterator[Step]:
        """Yield the steps that are not done yet, in order."""
        ...

    def solution(self, job: Job, steps: Sequence[Step]) -> Solution:
        """Return the result of all steps."""
        ...


def scaled_steps(steps: int, effort: float) -> int:
    """Return so many times the steps of training, at least one; none stays none."""
    return max(1, round(steps * effort)) if steps else 0
