"""Gives the tensors that refusals hang on more bits, within a size: mixed precision, no training.

How much is lost by each type of each tensor is measured on malicious prompts (safety) and benign ones
(utility), jointly. Each allocation is the exact optimum for costs beside the one before; the best that was
met is improved tensor by tensor. Then another solver rounds.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from gguf.constants import GGMLQuantizationType
from torch import Tensor

from qaudit.checkpoints.codecs.ggml import BLOCKS
from qaudit.errors import InputError
from realign.activation_stream import unpadded
from realign.grids.grid import Grid
from realign.grids.group_grid import GroupGrid
from realign.grids.superblock_grid import SuperblockGrid
from realign.job import Job, Solution, Solver, Step
from realign.plan import errors_at_once
from realign.solvers.range_search import best_ranges
from realign.solvers.searched_rounding import SearchedRounding
from realign.solvers.sensitivity import Draws, Effects, measure_effects
from realign.solvers.size_budget import Storage, allocate

# what a tensor can be raised to, by bits; all of them have an encoder here
SUPERBLOCK_TYPES = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0")
SIXTEEN, HALF_BITS, SCALE_BITS = "F16", 16, 16
CHOSEN, COST = "chosen:", "cost:"
FLOAT_BYTES = 4
ROUNDS = 10  # of allocation; two or three are enough before one comes again


@dataclass(frozen=True, slots=True)
class ProtectOptions:
    """How bits are spent.

    Attributes:
        growth: by how much of their size the tensors may grow, all together.
        safety: how much malicious prompts count against benign ones, each kind as a whole.
        draws: prompts of each kind, at most.
    """

    growth: float = 0.05
    safety: float = 1.0
    draws: int = 256


@dataclass(frozen=True, slots=True)
class _Option:
    """A type that a tensor may have; no grid where it stays a 16-bit float."""

    name: str
    grid: Grid | None
    size: int


class Protect:
    """Allocates bits, then lets another solver round; the first step is the allocation.

    Args:
        options: how bits are spent.
        then: what rounds to the grids that were chosen.
    """

    def __init__(self, options: ProtectOptions | None = None, then: Solver | None = None) -> None:
        self.options = options or ProtectOptions()
        self.then: Solver = then or SearchedRounding()

    def count(self, job: Job) -> int:
        """Return one step more than the rounding has."""
        return 1 + self.then.count(job)

    def steps(self, job: Job, done: Sequence[Step]) -> Iterator[Step]:
        """Allocate unless that is done, then round.

        Raises:
            InputError: the parent is of an unknown family, or has nothing that could be raised.
        """
        if done:
            first = done[0]
        else:
            first = self._allocation(job)
            yield first
        yield from self.then.steps(_with_chosen(job, first), done[1:])

    def solution(self, job: Job, steps: Sequence[Step]) -> Solution:
        """Return every matrix in the type that was chosen for it; a 16-bit one is left out."""
        rounded = self.then.solution(_with_chosen(job, steps[0]), steps[1:])
        raised = {
            module: name
            for module, (name, grid) in _chosen(job, steps[0]).items()
            if grid != job.grids[module]
        }
        return replace(rounded, figures={**rounded.figures, "raised": raised})

    def _allocation(self, job: Job) -> Step:
        started = time.monotonic()
        weights = {module: job.parent.get_submodule(module).weight.detach() for module in job.grids}
        options = {
            module: _options(grid, (weights[module].shape[0], weights[module].shape[1]))
            for module, grid in job.grids.items()
        }
        if all(len(each) == 1 for each in options.values()):
            raise InputError(
                "protect: no tensor could have more bits; choose a smaller --to, or another method"
            )
        base = {f"{module}.weight": 0 for module in options}
        lots = _lots(weights, options)
        effects = measure_effects(job.parent, self._draws(job), base.keys(), lots, job.seed)
        least = sum(each[0].size for each in options.values())
        chosen = _allocated(effects, options, int(least * (1 + self.options.growth)))
        spent = sum(options[module][chosen[f"{module}.weight"]].size for module in options)
        tensors = {CHOSEN + module: torch.tensor(chosen[f"{module}.weight"]) for module in options}
        costs = effects.costs(base)
        tensors |= {COST + module: costs[f"{module}.weight"] for module in options}
        losses = {
            "divergence.before": effects.loss(base),
            "divergence.after": effects.loss(chosen),
            "size": spent / least,
        }
        return Step("allocation", tensors, losses, time.monotonic() - started)

    def _draws(self, job: Job) -> Draws:
        malicious = _spread(job.prompts.malicious, self.options.draws)
        benign = _spread(job.prompts.benign, self.options.draws)
        unpadded((*malicious, *benign))  # refused here if there is nothing, or an empty one
        counts = [self.options.safety / max(len(malicious), 1)] * len(malicious)
        return Draws((*malicious, *benign), [*counts, *([1 / max(len(benign), 1)] * len(benign))])


def _lots(
    weights: Mapping[str, Tensor], options: Mapping[str, Sequence[_Option]]
) -> Iterator[dict[str, list[Tensor]]]:
    """Yield what each type does to each tensor, so many tensors at a time as take the room of the model."""
    room = errors_at_once(FLOAT_BYTES * sum(weight.numel() for weight in weights.values()))
    lot: dict[str, list[Tensor]] = {}
    held = 0
    for module, each in options.items():
        size = FLOAT_BYTES * weights[module].numel() * len(each)
        if lot and held + size > room:
            yield lot
            # nothing of it may stay while the next is made
            lot, held = {}, 0
        lot[f"{module}.weight"] = [_error(weights[module], option) for option in each]
        held += size
    yield lot


def _allocated(effects: Effects, options: Mapping[str, Sequence[_Option]], budget: int) -> dict[str, int]:
    """Return the place of each tensor's type, by parameter name.

    What a type costs depends on the other tensors' types. The exact allocation for costs beside one
    allocation leads to the next; beginning from tensors each for itself and from the smallest types, the
    best of all that were met is then improved move by move.
    """
    smallest = {f"{module}.weight": 0 for module in options}
    met = [smallest]
    for costs in (effects.alone(), effects.costs(smallest)):
        for _ in range(ROUNDS):
            choices = {
                f"{module}.weight": [
                    Storage(option.name, option.size, float(cost))
                    for option, cost in zip(each, costs[f"{module}.weight"], strict=True)
                ]
                for module, each in options.items()
            }
            chosen = allocate(choices, budget)
            if chosen in met:
                break
            met.append(chosen)
            costs = effects.costs(chosen)
    return _improved(effects, options, budget, min(met, key=effects.loss))


def _improved(
    effects: Effects, options: Mapping[str, Sequence[_Option]], budget: int, chosen: dict[str, int]
) -> dict[str, int]:
    """Change one tensor's type at a time, the one that helps most, while any does and the size allows."""
    loss = effects.loss(chosen)
    while True:
        spent = sum(each[chosen[f"{module}.weight"]].size for module, each in options.items())
        moves = [
            {**chosen, f"{module}.weight": place}
            for module, each in options.items()
            for place, option in enumerate(each)
            if spent - each[chosen[f"{module}.weight"]].size + option.size <= budget
        ]
        best = min(moves, key=effects.loss)
        if effects.loss(best) >= loss:
            return chosen
        chosen, loss = best, effects.loss(best)


def _options(grid: Grid, shape: tuple[int, int]) -> list[_Option]:
    """Return the types that a matrix may have, the job's own first."""
    rows, columns = shape
    if isinstance(grid, SuperblockGrid):
        own = _type_bits(grid.ggml_type)
        larger = [
            name for name in SUPERBLOCK_TYPES if _type_bits(name) > own and not columns % _block_of(name)
        ]
        return [
            _Option(name, replace(grid, ggml_type=name), int(rows * columns * _type_bits(name)))
            for name in (grid.ggml_type, *larger)
        ]
    if not isinstance(grid, GroupGrid):
        raise InputError(f"protect does not know types beside {type(grid).__name__}")
    groups = rows * grid.groups_of(columns) if columns else 0
    packed = rows * columns * grid.bits + groups * (SCALE_BITS + grid.bits)
    own_name = f"{grid.bits}-bit"
    return [_Option(own_name, grid, packed), _Option(SIXTEEN, None, rows * columns * HALF_BITS)]


def _type_bits(name: str) -> float:
    block, size = BLOCKS[GGMLQuantizationType[name]]
    return 8 * size / block


def _block_of(name: str) -> int:
    return BLOCKS[GGMLQuantizationType[name]][0]


@torch.no_grad()
def _error(weight: Tensor, option: _Option) -> Tensor:
    if option.grid is None:
        return weight.half().float() - weight
    low, high = best_ranges(weight, option.grid)
    return option.grid.fake(weight, low, high) - weight


def _chosen(job: Job, step: Step) -> dict[str, tuple[str, Grid | None]]:
    found: dict[str, tuple[str, Grid | None]] = {}
    for module, grid in job.grids.items():
        shape = job.parent.get_submodule(module).weight.shape
        option = _options(grid, (shape[0], shape[1]))[int(step.tensors[CHOSEN + module])]
        found[module] = (option.name, option.grid)
    return found


def _with_chosen(job: Job, step: Step) -> Job:
    grids = {module: grid for module, (_, grid) in _chosen(job, step).items() if grid is not None}
    return replace(job, grids=grids)


def _spread(prompts: Sequence[Any], count: int) -> list[Any]:
    # over the whole set, whose categories lie one after another
    return [prompts[i * len(prompts) // count] for i in range(count)] if len(prompts) > count else [*prompts]
