"""The knapsack against every allocation there is."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.errors import InputError
from realign.solvers.size_budget import Choice, allocate


def cost_of(choices: dict[str, list[Choice]], chosen: dict[str, int]) -> float:
    return sum(choices[tensor][place].cost for tensor, place in chosen.items())


def size_of(choices: dict[str, list[Choice]], chosen: dict[str, int]) -> int:
    return sum(choices[tensor][place].size for tensor, place in chosen.items())


def best_of_all(choices: dict[str, list[Choice]], budget: int) -> float:
    places = itertools.product(*(range(len(each)) for each in choices.values()))
    every = (dict(zip(choices, each, strict=True)) for each in places)
    return min(cost_of(choices, one) for one in every if size_of(choices, one) <= budget)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), tensors=st.integers(1, 5), slack=st.floats(0, 1))
def test_it_is_the_best_of_all_allocations(seed: int, tensors: int, slack: float) -> None:
    draw = random.Random(seed)
    choices = {
        f"t{number}": [
            Choice(str(place), draw.randint(1, 10**9), draw.uniform(-1, 1) * 10 ** draw.randint(-6, 3))
            for place in range(draw.randint(1, 4))
        ]
        for number in range(tensors)
    }
    least = sum(min(c.size for c in each) for each in choices.values())
    most = sum(max(c.size for c in each) for each in choices.values())
    budget = least + int(slack * (most - least))
    chosen = allocate(choices, budget)
    assert size_of(choices, chosen) <= budget
    best = best_of_all(choices, budget)
    scale = max(abs(c.cost) for each in choices.values() for c in each)
    assert cost_of(choices, chosen) <= best + 1e-6 * scale


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="the smallest types take 20 bits, 19 are allowed"):
        allocate({"a": [Choice("x", 20, 0.0), Choice("y", 30, -1.0)]}, 19)


def test_costs_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="not a finite number"):
        allocate({"a": [Choice("x", 1, float("nan"))]}, 2)


def test_all_alike_is_no_matter() -> None:
    assert allocate({"a": [Choice("x", 1, 0.0)], "b": [Choice("x", 1, 0.0)]}, 2) == {"a": 0, "b": 0}
