"""What training leaves of a block or a model, and how it lies in the steps of a solver."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qaudit.errors import InputError
from realign.grids.grid import Encoded, Grid
from realign.job import Step

# in the names of a step's tensors
WEIGHT, LOW, HIGH, FLOAT = "weight:", "low:", "high:", "float:"


@dataclass(frozen=True, slots=True)
class Settled:
    """Weights and ranges that rounding starts from; names are those within a block, or within the model.

    Attributes:
        matrices: weights before rounding [O, I] and the ends of their ranges, low and high [O, G], by
            module: what `Grid.encode` is given.
        floats: parameters that are not rounded and were changed, by parameter.
    """

    matrices: Mapping[str, tuple[Tensor, Tensor, Tensor]]
    floats: Mapping[str, Tensor]

    def parameters(self, grids: Mapping[str, Grid]) -> dict[str, Tensor]:
        """Return the parameters themselves, matrices rounded."""
        values = dict(self.floats)
        for name, parts in self.matrices.items():
            values[f"{name}.weight"] = grids[name].fake(*parts)
        return values

    def on(self, device: torch.device) -> "Settled":
        """Return all of it on a device; tensors that are there already are the same."""
        return Settled(
            {
                name: (weight.to(device), low.to(device), high.to(device))
                for name, (weight, low, high) in self.matrices.items()
            },
            {name: value.to(device) for name, value in self.floats.items()},
        )

    def without(self, modules: Collection[str]) -> "Settled":
        """Return all but some matrices."""
        kept = {name: parts for name, parts in self.matrices.items() if name not in modules}
        return Settled(kept, self.floats)

    def encoded(self, grids: Mapping[str, Grid], device: torch.device) -> dict[str, Encoded]:
        """Return the matrices as codes, computed on a device one by one; they lie where the matrices do."""
        return {name: _encoded(grids[name], parts, device) for name, parts in self.matrices.items()}

    def within(self, prefix: str) -> "Settled":
        """Return all of one block, by name within it."""
        return Settled(
            {name.removeprefix(prefix): parts for name, parts in self.matrices.items()},
            {name.removeprefix(prefix): value for name, value in self.floats.items()},
        )

    def placed(self, prefix: str) -> "Settled":
        """Return a block's parts by their names in the model."""
        return Settled(
            {f"{prefix}{name}": parts for name, parts in self.matrices.items()},
            {f"{prefix}{name}": value for name, value in self.floats.items()},
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return all of it as a step stores it."""
        stored = {f"{FLOAT}{name}": value for name, value in self.floats.items()}
        for name, parts in self.matrices.items():
            for prefix, part in zip((WEIGHT, LOW, HIGH), parts, strict=True):
                stored[f"{prefix}{name}"] = part
        return stored


def _encoded(grid: Grid, parts: tuple[Tensor, Tensor, Tensor], device: torch.device) -> Encoded:
    at_rest = parts[0].device
    found = grid.encode(*(part.to(device) for part in parts))
    if device == at_rest:
        return found
    kind: Any = type(found)
    moved: Encoded = kind.from_tensors({name: part.to(at_rest) for name, part in found.tensors().items()})
    return moved


def settled_by(steps: Sequence[Step]) -> Settled:
    """Return what steps left; later ones replace earlier ones.

    Raises:
        InputError: a stored matrix lacks its ranges.
    """
    stored: dict[str, Tensor] = {}
    for step in steps:
        stored.update(step.tensors)
    matrices = {}
    for name, weight in stored.items():
        if name.startswith(WEIGHT):
            module = name.removeprefix(WEIGHT)
            try:
                matrices[module] = (weight, stored[f"{LOW}{module}"], stored[f"{HIGH}{module}"])
            except KeyError:
                raise InputError(
                    f"the stored steps lack the ranges of {module[:80]!a}; start again"
                ) from None
    floats = {name.removeprefix(FLOAT): v for name, v in stored.items() if name.startswith(FLOAT)}
    return Settled(matrices, floats)
