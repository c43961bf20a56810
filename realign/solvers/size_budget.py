"""Which tensor gets how many bits, so that a whole file stays within a size: a knapsack, solved exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from qaudit.errors import InputError


@dataclass(frozen=True, slots=True)
class Choice:
    """One way of storing a tensor.

    Attributes:
        name: of the type, for people.
        size: in bits.
        cost: what is lost by it; may be negative.
    """

    name: str
    size: int
    cost: float


def allocate(choices: Mapping[str, Sequence[Choice]], budget: int) -> dict[str, int]:
    """Return the place of each tensor's choice: least cost of all, no more bits than the budget.

    A multiple-choice knapsack as a mixed-integer program, solved to the end (HiGHS, no gap allowed).

    Args:
        choices: of each tensor, one at least.
        budget: bits of all together.

    Raises:
        InputError: even the smallest choices are larger than the budget.
    """
    least = sum(min(choice.size for choice in each) for each in choices.values())
    if least > budget:
        raise InputError(f"the smallest types take {least} bits, {budget} are allowed; allow more")
    flat = [(tensor, place, c) for tensor, each in choices.items() for place, c in enumerate(each)]
    sizes = np.array([choice.size for _, _, choice in flat], dtype=float)
    costs = np.array([choice.cost for _, _, choice in flat])
    if not np.isfinite(costs).all():
        raise InputError("a tensor's sensitivity is not a finite number; is the checkpoint whole?")
    rows = {tensor: number for number, tensor in enumerate(choices)}
    one_each = np.zeros((len(rows), len(flat)))
    for column, (tensor, _, _) in enumerate(flat):
        one_each[rows[tensor], column] = 1
    # both in units of their own size: a solver's tolerances are absolute
    scale = float(np.abs(costs).max()) or 1.0
    result = milp(
        costs / scale,
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(sizes[None] / budget, -np.inf, 1),
        ],
        bounds=Bounds(0, 1),
        integrality=np.ones(len(flat)),
        options={"mip_rel_gap": 0},
    )
    if not result.success:
        raise InputError(f"no allocation of bits was found ({result.message}); allow more")
    chosen = {tensor: place for (tensor, place, _), taken in zip(flat, result.x, strict=True) if taken > 0.5}
    spent = sum(choices[tensor][place].size for tensor, place in chosen.items())
    if len(chosen) != len(choices) or spent > budget:
        raise InputError("the allocation that was found does not keep to the budget; allow more")
    return chosen
