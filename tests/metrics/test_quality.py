import math

import pytest

from qaudit.metrics.divergence import Divergence
from qaudit.metrics.quality import accuracy_change, assemble, choose, perplexity_change


def test_ties_go_to_the_lowest_index() -> None:
    assert choose([-2.0, -1.0, -1.0]) == 1


@pytest.mark.parametrize("scores", [[], [-1.0, math.nan], [-math.inf, -math.inf]])
def test_a_broken_model_chooses_nothing(scores: list[float]) -> None:
    assert choose(scores) is None


def test_accuracy_is_compared_on_the_same_questions() -> None:
    reference = [[-1.0, -2.0], [-1.0, -2.0], [-2.0, -1.0], [-1.0, -2.0]]
    candidate = [[-1.0, -2.0], [-3.0, -2.0], [-2.0, -1.0], [math.nan, -2.0]]
    found = accuracy_change(reference, candidate, [0, 0, 0, 0])
    assert found is not None
    assert (found.reference, found.candidate, found.delta, found.n) == (0.75, 0.25, -0.5, 4)
    assert found.delta_ci95 is not None
    assert found.delta_ci95[0] < -0.5 < found.delta_ci95[1]
    assert accuracy_change([], [], []) is None


def test_accuracy_needs_as_many_answers_as_questions() -> None:
    with pytest.raises(ValueError, match="shorter"):
        accuracy_change([[-1.0]], [[-1.0]], [])


def test_perplexity_change() -> None:
    found = perplexity_change([math.log(0.5)] * 4, [math.log(0.25)] * 4)
    assert found is not None
    assert (found.reference, found.candidate, found.delta) == pytest.approx((2.0, 4.0, 2.0))
    assert found.n == 4
    assert perplexity_change([], []) is None
    assert perplexity_change([-1.0], [math.nan]) is None
    with pytest.raises(ValueError, match="not the same"):
        perplexity_change([-1.0], [-1.0, -2.0])


def test_assembled_figures_are_finite_or_absent() -> None:
    assert assemble(None, None, None) is None
    assert assemble(None, None, Divergence()) is None
    broken = Divergence()
    broken.add_figures([math.nan] * 4, 0)
    found = assemble(None, perplexity_change([-1.0], [-math.inf]), broken)
    assert found is not None
    assert (found.kl_mean, found.kl_p99, found.top1_agreement, found.positions) == (None, None, 0.0, 4)
    # a candidate that rules the text out fails any ratio, and the ratio is still a JSON number
    assert found.perplexity_ratio is not None
    assert 1e300 < found.perplexity_ratio < math.inf


def test_assembles_a_sound_model() -> None:
    same = Divergence()
    same.add_figures([0.0] * 5, 5)
    found = assemble(
        accuracy_change([[-1.0, -2.0]], [[-1.0, -2.0]], [0]), perplexity_change([-1.0], [-1.0]), same
    )
    assert found is not None
    assert (found.perplexity_ratio, found.kl_mean, found.top1_agreement, found.positions) == (1, 0, 1, 5)
