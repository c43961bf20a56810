"""Which tensor gets how many bits, so that a whole file stays within a size: a knapsack, solved exactly."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from qaudit.errors import InputError

# by how much of its limit the program's solver may overstep one, twice
TOLERANCE = 2e-6


@dataclass(frozen=True, slots=True)
class Storage:
    """One way of storing a tensor.

    Attributes:
        name: of the type, for people.
        size: in bits.
        cost: what is lost by it; may be negative.
    """

    name: str
    size: int
    cost: float


@dataclass(frozen=True, slots=True)
class _Column:
    """A storage that fits, as a column of the program; `extra` bits over the tensor's smallest."""

    tensor: str
    place: int
    storage: Storage
    extra: int


def allocate(choices: Mapping[str, Sequence[Storage]], budget: int) -> dict[str, int]:
    """Return the place of each tensor's storage: least cost of all, no more bits than the budget.

    A multiple-choice knapsack as a mixed-integer program, solved to the end (HiGHS, no gap allowed). The
    solver oversteps a limit by a millionth, which of gigabytes is kilobytes: an allocation that does is
    solved again in whole units of what the sizes differ by, and, should that not do, with two millionths
    of the spare bits left free, or by single changes; only then may the least cost be missed. Of what
    comes out no change of one tensor is better. Exact up to a terabit in all, as far as tests can tell.

    Args:
        choices: of each tensor, one at least.
        budget: bits of all together.

    Raises:
        InputError: even the smallest choices are larger than the budget.
    """
    smallest = {tensor: min(choice.size for choice in each) for tensor, each in choices.items()}
    least = sum(smallest.values())
    if least > budget:
        raise InputError(f"the smallest types take {least} bits, {budget} are allowed; allow more")
    flat = [
        _Column(tensor, place, c, c.size - smallest[tensor])
        for tensor, each in choices.items()
        for place, c in enumerate(each)
    ]
    if not np.isfinite([column.storage.cost for column in flat]).all():
        raise InputError("a tensor's sensitivity is not a finite number; is the checkpoint whole?")
    sizes = np.array([column.storage.size for column in flat], dtype=float)
    spare = budget - least
    chosen = _solved(flat, sizes / budget, 1.0)
    if _fits(chosen, choices, budget):
        return _improved(chosen, choices, budget)
    fitting = [column for column in flat if column.extra <= spare]
    unit = math.gcd(*(column.extra for column in fitting)) or 1
    extras = np.array([column.extra // unit for column in fitting], dtype=float)
    for limit in (spare // unit, (spare // unit) * (1 - TOLERANCE) - TOLERANCE):
        # no tensor's smallest storage takes anything, so that one allocation always fits
        chosen = _solved(fitting, extras, max(limit, 0.0))
        if _fits(chosen, choices, budget):
            return _improved(chosen, choices, budget)
    # the program's solver gave up: from the smallest of all, the best single change again and again
    start = {
        tensor: min(range(len(each)), key=lambda place: (each[place].size, each[place].cost))
        for tensor, each in choices.items()
    }
    return _improved(start, choices, budget)


def _solved(columns: Sequence[_Column], sizes: NDArray[np.float64], limit: float) -> dict[str, int]:
    rows = {tensor: number for number, tensor in enumerate(dict.fromkeys(c.tensor for c in columns))}
    one_each = np.zeros((len(rows), len(columns)))
    for number, column in enumerate(columns):
        one_each[rows[column.tensor], number] = 1
    costs = np.array([column.storage.cost for column in columns])
    # in units of their own size: a solver's tolerances are absolute
    scale = float(np.abs(costs).max()) or 1.0
    result = milp(
        costs / scale,
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(sizes[None], -np.inf, limit)],
        bounds=Bounds(0, 1),
        integrality=np.ones(len(columns)),
        options={"mip_rel_gap": 0},
    )
    if not result.success:
        # it loses its way where sizes lie twelve powers of ten apart
        return {}
    return {c.tensor: c.place for c, taken in zip(columns, result.x, strict=True) if taken > 0.5}


def _improved(
    chosen: Mapping[str, int], choices: Mapping[str, Sequence[Storage]], budget: int
) -> dict[str, int]:
    """Return an allocation that no change of one tensor makes better, in whole numbers.

    Beside a tensor of terabits the program's solver does not see what a tensor of kilobits takes.
    """
    best = dict(chosen)
    left = budget - sum(choices[tensor][place].size for tensor, place in best.items())
    while True:
        changes = [
            (choice.cost - own.cost, tensor, place)
            for tensor, each in choices.items()
            for place, choice in enumerate(each)
            if choice.cost < (own := each[best[tensor]]).cost and choice.size - own.size <= left
        ]
        if not changes:
            return best
        _, tensor, place = min(changes)
        left -= choices[tensor][place].size - choices[tensor][best[tensor]].size
        best[tensor] = place


def _fits(chosen: Mapping[str, int], choices: Mapping[str, Sequence[Storage]], budget: int) -> bool:
    # in whole numbers, which have no tolerance
    spent = sum(choices[tensor][place].size for tensor, place in chosen.items())
    return len(chosen) == len(choices) and spent <= budget
