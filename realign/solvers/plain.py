"""AWQ and GPTQ as published, block by block: the baseline that every realignment is held against."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from qaudit.errors import InputError
from realign.activation_stream import unpadded
from realign.calibration_activations import (
    Call,
    calls_into_blocks,
    gram,
    module_calls,
    outputs,
    with_hidden,
)
from realign.decoder_blocks import STAGES, blocks_of, linear, module_name
from realign.grids.grid import Grid
from realign.grids.group_grid import GroupGrid
from realign.job import Job, Solution, Step
from realign.quantized_linear import QuantizedLinear
from realign.solvers.awq_search import AwqOptions, search_block
from realign.solvers.gptq import GptqOptions, solve_gptq

Linears = dict[str, QuantizedLinear]
# in the names of a step's tensors
ENCODED, FLOAT = "encoded:", "float:"


@dataclass(frozen=True, slots=True)
class AwqRecipe:
    """AWQ, packed as AWQ's "gemm"."""

    options: AwqOptions = field(default_factory=AwqOptions)


@dataclass(frozen=True, slots=True)
class GptqRecipe:
    """GPTQ, packed as GPTQ version 1 or by compressed-tensors."""

    options: GptqOptions
    packing: str = "gptq"


Recipe = AwqRecipe | GptqRecipe


class PlainSolver:
    """Quantizes without regard to safety, on all calibration prompts alike; a step is a block.

    Args:
        recipe: how; with GPTQ each module has the grid that the job gives it, and one that the job does
            not name stays float.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def count(self, job: Job) -> int:
        """Return the number of blocks."""
        return len(blocks_of(job.parent))

    def steps(self, job: Job, done: Sequence[Step]) -> Iterator[Step]:
        """Quantize the blocks that are not done yet.

        Raises:
            InputError: the parent is of an unknown family, or does not fit the grids.
        """
        grids = _grids(job, self.recipe)
        calls = calls_into_blocks(job.parent, unpadded((*job.prompts.malicious, *job.prompts.benign)))
        hidden: list[Tensor] = [call.hidden for call in calls[0]]
        for number, block in enumerate(blocks_of(job.parent)):
            into = with_hidden(calls[number], hidden)
            calls[number] = []
            if number < len(done):
                hidden = _passed(block, number, into, self.recipe, done[number])
                continue
            started = time.monotonic()
            before = {name: value.clone() for name, value in block.state_dict().items()}
            found, left = _quantized_block(block, into, self.recipe, grids.get(number, {}))
            after = left if isinstance(self.recipe, GptqRecipe) else outputs(block, into)
            meant = _meant(block, before, into) if isinstance(self.recipe, GptqRecipe) else left
            hidden = left
            yield Step(
                f"layer {number}",
                _stored(block, number, before, found),
                {"reconstruction.after": _squared_error(after, meant)},
                time.monotonic() - started,
            )

    def solution(self, job: Job, steps: Sequence[Step]) -> Solution:
        """Return all linear layers, and the norms and biases into which AWQ folded its scales."""
        del job
        floats = {
            name[len(FLOAT) :]: tensor
            for step in steps
            for name, tensor in step.tensors.items()
            if name.startswith(FLOAT)
        }
        return Solution(linears_of(steps), floats)


def linears_of(steps: Sequence[Step]) -> Linears:
    """Return the linear layers that steps left, by module name."""
    tensors = {name: tensor for step in steps for name, tensor in step.tensors.items()}
    return {module: QuantizedLinear.from_tensors(parts) for module, parts in _parts(tensors).items()}


def _quantized_block(
    block: nn.Module, calls: Sequence[Call], recipe: Recipe, grids: Mapping[str, Grid]
) -> tuple[Linears, list[Tensor]]:
    """Quantize a block in place; it is left with the weights that a reader will decode.

    Args:
        block: float32.
        calls: what goes into it.
        recipe: how.
        grids: of each linear layer by its name in the block, GPTQ only; what has none stays float.

    Returns:
        What was found, by name within the block, and what goes into the next block: for GPTQ outputs of
        the quantized block, for AWQ of the float one, which is searched for without that knowledge.
    """
    if isinstance(recipe, AwqRecipe):
        left = outputs(block, calls)
        return search_block(block, calls, recipe.options), left
    found = _gptq_block(block, calls, recipe.options, grids)
    return found, outputs(block, calls)


@torch.no_grad()
def _gptq_block(
    block: nn.Module, calls: Sequence[Call], options: GptqOptions, grids: Mapping[str, Grid]
) -> Linears:
    """Quantize a block's layers in the order in which they run, each on what reaches it by then."""
    found: Linears = {}
    for stage in STAGES:
        names = [name for name in stage.linears if name in grids]
        if not names:
            continue
        hessian = gram(module_calls(block, calls, names[:1])[names[0]])
        for name in names:
            layer = linear(block, name)
            grid = _group_grid(name, grids[name])
            found[name] = solve_gptq(layer.weight, hessian, replace(options, grid=grid))
            layer.weight.copy_(found[name].weight())
    return found


@torch.no_grad()
def _passed(block: nn.Module, number: int, calls: Sequence[Call], recipe: Recipe, step: Step) -> list[Tensor]:
    """Leave a block as its stored step left it, and return what goes into the next one."""
    left = outputs(block, calls) if isinstance(recipe, AwqRecipe) else []
    prefix = module_name(number, "")
    for module, parts in _parts(step.tensors).items():
        entry = QuantizedLinear.from_tensors(parts)
        linear(block, module.removeprefix(prefix)).weight.copy_(entry.weight())
    own = dict(block.named_parameters())
    for name, tensor in step.tensors.items():
        if name.startswith(FLOAT):
            own[name[len(FLOAT) :].removeprefix(prefix)].copy_(tensor)
    return left or outputs(block, calls)


def _stored(
    block: nn.Module, number: int, before: Mapping[str, Tensor], found: Mapping[str, QuantizedLinear]
) -> dict[str, Tensor]:
    tensors = {
        f"{ENCODED}{module_name(number, name)}:{part}": tensor
        for name, entry in found.items()
        for part, tensor in entry.tensors().items()
    }
    coded = {f"{name}.weight" for name in found}
    for name, value in block.state_dict().items():
        if name not in coded and not torch.equal(value, before[name]):
            tensors[f"{FLOAT}{module_name(number, name)}"] = value.clone()
    return tensors


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    modules: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(ENCODED):
            module, part = name[len(ENCODED) :].rsplit(":", 1)
            modules.setdefault(module, {})[part] = tensor
    return modules


@torch.no_grad()
def _meant(block: nn.Module, before: Mapping[str, Tensor], calls: Sequence[Call]) -> list[Tensor]:
    """Return the float block's outputs on the same inputs; the block is left as it is."""
    now = {name: value.clone() for name, value in block.state_dict().items()}
    block.load_state_dict(before)
    meant = outputs(block, calls)
    block.load_state_dict(now)
    return meant


def _squared_error(got: Sequence[Tensor], meant: Sequence[Tensor]) -> float:
    total = sum(float((g - m).square().sum(dtype=torch.float64)) for g, m in zip(got, meant, strict=True))
    return total / sum(m.numel() for m in meant)


def _grids(job: Job, recipe: Recipe) -> dict[int, dict[str, Grid]]:
    """Return the job's grids block by block."""
    blocks = len(blocks_of(job.parent))
    by_block: dict[int, dict[str, Grid]] = {}
    known = {
        module_name(number, name): (number, name)
        for number in range(blocks)
        for stage in STAGES
        for name in stage.linears
    }
    for module, grid in job.grids.items():
        if module not in known:
            raise InputError(f"{module[:100]!a} is no linear layer of a decoder block; see --dry-run")
        number, name = known[module]
        by_block.setdefault(number, {})[name] = grid
    if isinstance(recipe, AwqRecipe) and any(
        job.grids.get(module) != recipe.options.grid for module in known
    ):
        raise InputError("AWQ as published rounds every linear layer to one grid; choose gptq for a mix")
    return by_block


def _group_grid(name: str, grid: Any) -> GroupGrid:  # noqa: ANN401
    if not isinstance(grid, GroupGrid):
        raise InputError(f"{name}: GPTQ rounds to groups with one scale each, not to {type(grid).__name__}")
    return grid
