"""Orders that leave nothing out, and rates that rise and fall."""

import math
import random
from itertools import islice, pairwise

import pytest

pytest.importorskip("torch")

from realign.solvers.training_order import endless, permutations, rate_share


@pytest.mark.parametrize("drawn", ["torch", "python"])
def test_everything_comes_before_anything_comes_again(drawn: str) -> None:
    def order() -> list[str]:
        draw = random.Random(1)
        taken = permutations(1) if drawn == "torch" else lambda count: draw.sample(range(count), count)
        return list(islice(endless("abcdefg", taken), 21))

    first = order()
    assert all(sorted(first[at : at + 7]) == list("abcdefg") for at in (0, 7, 14))
    assert first[:7] != first[7:14]
    assert order() == first
    assert list(endless([], permutations(0))) == []


def test_another_seed_is_another_order() -> None:
    assert [*permutations(1)(20)] != [*permutations(2)(20)]


def test_rates_rise_over_the_first_steps_and_fall_to_nothing() -> None:
    rates = [rate_share(step, 10, math.pi * step / 100) for step in range(100)]
    assert rates[0] < 0.11
    assert rates.index(max(rates)) in range(8, 11)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert rates[-1] < 1e-3
