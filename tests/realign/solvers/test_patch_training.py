"""The schedule and the reported losses; what training does to a model is told in test_qresafe."""

import random

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from itertools import islice, pairwise  # noqa: E402

from realign.solvers.patch_training import _ends, _schedule, _shuffled  # noqa: E402


def test_rates_rise_over_the_first_tenth_and_fall_to_nothing() -> None:
    rates = [_schedule(step, 100) for step in range(100)]
    assert rates[0] < 0.11
    assert rates.index(max(rates)) in range(8, 11)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert rates[-1] < 1e-3


def test_every_prompt_comes_before_any_comes_again() -> None:
    order = list(islice(_shuffled(7, random.Random(1)), 21))
    assert all(sorted(order[at : at + 7]) == list(range(7)) for at in (0, 7, 14))
    assert order[:7] != order[7:14]
    assert list(_shuffled(0, random.Random(1))) == []


def test_losses_are_those_of_both_ends() -> None:
    seen = [{"a": float(number)} for number in range(20)]
    # a step without a pair that differs has no preference
    seen[1]["preference"] = 4.0
    assert _ends(seen) == {"a.before": 2.0, "preference.before": 4.0, "a.after": 17.0}
