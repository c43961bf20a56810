"""A linear layer whose weights are a parent's plus a patch, rounded to a grid in every pass.

y = round(W + U) x + b. Gradients reach U through the rounding as if it were not there
(straight-through, Bengio et al., arXiv 1308.3432), so that what is trained is what will be stored.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from realign.grids.grid import Encoded, Grid
from realign.solvers.rounded_inputs import rounded_by_token


@dataclass(frozen=True, slots=True)
class PatchShape:
    """What may be changed.

    Attributes:
        rank: of U = B A; 0 for a U with an entry for each weight.
        ranges: whether the ends of the groups' ranges are learned too.
    """

    rank: int = 0
    ranges: bool = False


class PatchedLinear(nn.Module):
    """One linear layer with its patch.

    Args:
        layer: whose weights are patched; it is not changed.
        grid: what the sum is rounded to.
        ranges: low and high ends of the groups' ranges, float32 [O, G].
        shape: what may be changed.
        draw: of the factor A that does not begin as zero.
        input_bits: to which runtimes round what the layer is given (w8a8: 8); None for floats.

    Attributes:
        holding: whether the weights are rounded once and kept; see `rounded_once`.
        held: what is kept, float32 [O, I]; gradients can be asked for, and reach the patch.
    """

    def __init__(
        self,
        layer: nn.Linear,
        grid: Grid,
        ranges: tuple[Tensor, Tensor],
        shape: PatchShape,
        draw: torch.Generator,
        input_bits: int | None = None,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.grid = grid
        self.input_bits = input_bits
        self.holding = False
        self.held: Tensor | None = None
        self._ends = ranges
        weight = layer.weight.detach()
        outputs, inputs = weight.shape
        self.parts: dict[str, nn.Parameter] = {}
        if shape.rank:
            factor = torch.randn(shape.rank, inputs, generator=draw) / inputs**0.5
            self.parts["A"] = nn.Parameter(factor.to(weight.device))
            self.parts["B"] = nn.Parameter(torch.zeros(outputs, shape.rank, device=weight.device))
        else:
            self.parts["U"] = nn.Parameter(torch.zeros_like(weight))
        if shape.ranges:
            # natural logs of factors: a range keeps its sign and its place about zero
            self.parts["ends"] = nn.Parameter(torch.zeros(2, *ranges[0].shape, device=weight.device))

    def forward(self, hidden: Tensor) -> Tensor:
        """Map [..., I] to [..., O]."""
        if self.holding and self.held is None:
            self.held = self.rounded()
        weight = self.rounded() if self.held is None else self.held
        if self.input_bits is not None:
            hidden = rounded_by_token(hidden, self.input_bits)
        return linear(hidden, weight, self.layer.bias)

    def rounded(self) -> Tensor:
        """Return the patched weights on the grid: float32 [O, I], with gradients."""
        return self.grid.fake(self.latent(), *self.ranges())

    @torch.no_grad()
    def encoded(self) -> Encoded:
        """Return the patched weights as they will be stored."""
        return self.grid.encode(self.latent(), *self.ranges())

    def latent(self) -> Tensor:
        """Return the patched weights before they are rounded: float32 [O, I]."""
        weight: Tensor = self.layer.weight.detach()
        if "U" in self.parts:
            return weight + self.parts["U"]
        return weight + self.parts["B"] @ self.parts["A"]

    @property
    def size(self) -> float:
        """The root mean square of the parent's weights."""
        return float(self.layer.weight.detach().square().mean().sqrt())

    def ranges(self) -> tuple[Tensor, Tensor]:
        """Return the ends of each group's range: low and high [O, G]."""
        if "ends" not in self.parts:
            return self._ends
        factors = self.parts["ends"].exp()
        return self._ends[0] * factors[0], self._ends[1] * factors[1]


@contextmanager
def patched(model: Any, layers: Mapping[str, PatchedLinear]) -> Iterator[None]:  # noqa: ANN401
    """Put patched layers into a model for a while, by module name, then its own again."""
    for name, layer in layers.items():
        model.set_submodule(name, layer)
    try:
        yield
    finally:
        for name, layer in layers.items():
            model.set_submodule(name, layer.layer)


@contextmanager
def rounded_once(layers: Mapping[str, PatchedLinear]) -> Iterator[None]:
    """Let patched layers round their weights at first use only, until the end."""
    for layer in layers.values():
        layer.holding, layer.held = True, None
    try:
        yield
    finally:
        for layer in layers.values():
            layer.holding, layer.held = False, None
