"""What the result is delivered as: the seam between the chain and the formats."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from realign.grids.grid import Grid
from realign.job import Solution, Solver
from realign.plan import PlannedTensor
from realign.writers.verification import Verified


class Delivery(Protocol):
    """A format with its bits, and the file or folder whose metadata it takes over."""

    @property
    def to(self) -> str:
        """As `--to` has it."""
        ...

    @property
    def searches_scales(self) -> bool:
        """Whether the plain baseline runs blocks again and again, as AWQ's search does."""
        ...

    @property
    def input_bits(self) -> int | None:
        """To how many bits every runtime rounds what linear layers are given; None for none."""
        ...

    def planned(self) -> tuple[PlannedTensor, ...]:
        """Return every tensor of the result, from headers alone."""
        ...

    def grids(self) -> Mapping[str, Grid]:
        """Return how each linear layer is rounded, by module name."""
        ...

    def baseline(self) -> Solver:
        """Return the plain solver of the format."""
        ...

    def untrained(self) -> Solver | None:
        """Return what stands in for training where some type has nothing to learn; None where all have."""
        ...

    def notes(self, path: Path) -> Sequence[str]:
        """Return what the reader should know of a result that was written."""
        ...

    def write(self, path: Path, parent: Any, solution: Solution) -> Verified:  # noqa: ANN401
        """Write a solution whole, read it again and compare it with what was meant.

        Args:
            path: the file or folder; one that is there is replaced.
            parent: float32 model whose parameters are taken where the solution has none.
            solution: what a solver found.

        Returns:
            What was compared.

        Raises:
            InputError: the solution does not fit the format.
            OutputProblem: it cannot be written, or reads back as something else.
        """
        ...
