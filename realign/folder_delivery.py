"""Results in Hugging Face layout: AWQ, GPTQ and compressed-tensors."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.errors import InputError
from realign.carried_over import FolderCarried
from realign.decoder_blocks import STAGES
from realign.grids.grid import Grid
from realign.grids.target import Target
from realign.job import Solution, Solver
from realign.plan import PlannedTensor
from realign.solvers.awq_search import AwqOptions
from realign.solvers.gptq import ActOrder, GptqOptions
from realign.solvers.plain import AwqRecipe, GptqRecipe, PlainSolver, Recipe
from realign.writers.solution_folder import FolderPacking, write_solution_folder
from realign.writers.verification import Verified, verify_folder
from realign.writers.vllm_rules import vllm_problems

LINEARS = tuple(f".{name}" for stage in STAGES for name in stage.linears)
SCALE_BITS, INDEX_BITS, HALF_BITS, EIGHT_BITS = 16, 32, 16, 8


class FolderDelivery:
    """A folder with packed linear layers; all else keeps the template's types.

    Args:
        target: format and grid.
        template: folder of the same model.
        carried: what is taken over of it where it is not the reference; all where it is.

    Raises:
        InputError: a target that is no folder.
    """

    def __init__(self, target: Target, template: HfCheckpoint, carried: FolderCarried | None = None) -> None:
        if target.format == "gguf" or target.grid is None:
            raise InputError(f"--to {target.text}: is no folder")
        self.to = target.text
        order: ActOrder = "none" if target.format == "awq" else "static"
        self.packing = FolderPacking(
            target.format, target.grid, order, eight_bit_inputs=target.eight_bit_inputs
        )
        self.template = template
        self.carried = carried
        self._target = target

    @property
    def searches_scales(self) -> bool:
        """Whether the baseline is AWQ's search."""
        return self.packing.format == "awq"

    @property
    def input_bits(self) -> int | None:
        """8 for w8a8."""
        return EIGHT_BITS if self.packing.eight_bit_inputs else None

    def planned(self) -> tuple[PlannedTensor, ...]:
        """Return every tensor of the result, from the template's headers."""
        grid = self.packing.grid
        size = "per row" if grid.group_size == -1 else f"g{grid.group_size}"
        packed = f"{grid.bits}-bit {size}{' symmetric' if grid.symmetric else ''}"
        found = []
        for module in self.template.names():
            rows, columns = self.template.shape(module)
            if module.endswith(LINEARS):
                stored, bits = packed, self._packed_bits(rows, columns)
            else:
                stored, bits = "float", HALF_BITS * rows * columns
            shape = (rows, columns) if rows > 1 else (columns,)
            found.append(PlannedTensor(module, shape, stored, math.ceil(bits / 8)))
        return tuple(found)

    def _packed_bits(self, rows: int, columns: int) -> int:
        grid, packing = self.packing.grid, self.packing
        groups = rows * grid.groups_of(columns)
        # compressed-tensors leaves the zeros of a symmetric grid out
        zeros = 0 if packing.format == "compressed-tensors" and grid.symmetric else grid.bits
        index = INDEX_BITS * columns if packing.format == "gptq" else 0
        return rows * columns * grid.bits + groups * (SCALE_BITS + zeros) + index

    def grids(self) -> Mapping[str, Grid]:
        """Return the one grid for every linear layer of the blocks."""
        inputs = {m: self.template.shape(m)[1] for m in self.template.names() if m.endswith(LINEARS)}
        return self._target.grids(inputs)

    def baseline(self) -> Solver:
        """Return AWQ or GPTQ as published."""
        return PlainSolver(self._recipe())

    def _recipe(self) -> Recipe:
        packing = self.packing
        if packing.format == "awq":
            return AwqRecipe(AwqOptions(group_size=packing.grid.group_size, bits=packing.grid.bits))
        return GptqRecipe(GptqOptions(packing.grid, packing.act_order), packing.format)

    def untrained(self) -> Solver | None:
        """Return None: groups have ranges to learn."""
        return None

    def notes(self, path: Path) -> Sequence[str]:
        """Return what was taken over, and what vLLM would have against the folder by the rules known here."""
        told = [self.carried.note] if self.carried else []
        return [*told, *(f"vLLM: {problem}" for problem in vllm_problems(path))]

    def write(self, path: Path, parent: Any, solution: Solution) -> Verified:  # noqa: ANN401
        """Write, read again, compare."""
        meant = write_solution_folder(path, self.template.path, parent, solution, self.packing, self.carried)
        return verify_folder(path, meant)
