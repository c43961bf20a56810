"""What every grid can do: round weights within given ranges, with gradients or for the file."""

from typing import Protocol

from torch import Tensor


class Encoded(Protocol):
    """One matrix as integers and scales, before a writer packs it."""

    def weight(self) -> Tensor:
        """Return the weights that a runtime computes with: float32 [O, I], exact."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Return all that it is made of, so that it can be stored and read again."""
        ...


class Grid(Protocol):
    """A scheme of rounding: groups of inputs share a range, and a range has so many codes.

    Shapes: O outputs, I inputs, G groups of an output's inputs.
    """

    @property
    def bits(self) -> int:
        """Bits of a code, without scales."""
        ...

    def groups_of(self, inputs: int) -> int:
        """Return how many ranges a row of inputs has.

        Raises:
            InputError: they are not whole groups.
        """
        ...

    def fake(self, weight: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the weights rounded to the grid: float32 [O, I].

        Gradients flow to all three: rounding counts as the identity (straight-through estimator,
        Bengio et al., arXiv 1308.3432), clamping as what it is.

        Shapes:
            weight [O, I]; low and high [O, G], the ends of each group's range.
        """
        ...

    def encode(self, weight: Tensor, low: Tensor, high: Tensor) -> Encoded:
        """Return codes and scales; their `weight()` is bit for bit what `fake` returns."""
        ...
