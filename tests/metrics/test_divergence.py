import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qaudit.metrics.divergence import Divergence, agreeing, finite, kl_nats, normalised, perplexity

LOGITS = hnp.arrays(np.float32, (3, 7), elements=st.floats(-80, 80, width=32))


def test_kl_worked_by_hand() -> None:
    reference = np.log(np.array([0.5, 0.25, 0.25], dtype=np.float32))
    candidate = np.log(np.array([0.25, 0.25, 0.5], dtype=np.float32))
    # 0.5 ln 2 + 0 - 0.25 ln 2
    assert float(kl_nats(reference, candidate)) == pytest.approx(0.25 * math.log(2), abs=1e-7)


def test_impossible_tokens() -> None:
    half = np.array([math.log(0.5), math.log(0.5), -np.inf], dtype=np.float32)
    whole = np.array([0.0, -np.inf, -np.inf], dtype=np.float32)
    assert float(kl_nats(whole, half)) == pytest.approx(math.log(2), abs=1e-7)
    assert float(kl_nats(half, whole)) == math.inf
    assert float(kl_nats(half, half)) == 0.0


def test_nan_is_seen_wherever_it_stands() -> None:
    plain = np.array([0.0, -np.inf], dtype=np.float32)
    broken = np.array([0.0, np.nan], dtype=np.float32)
    assert math.isnan(float(kl_nats(plain, broken)))
    assert math.isnan(float(kl_nats(broken, plain)))
    nothing = np.array([-np.inf, -np.inf], dtype=np.float32)
    assert math.isnan(float(kl_nats(nothing, plain)))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="differ"):
        kl_nats(np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32))


@settings(deadline=None)
@given(LOGITS, LOGITS)
def test_kl_is_never_negative_and_zero_on_itself(
    reference: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    candidate: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> None:
    found = kl_nats(reference, candidate)
    assert found.shape == (3,)
    assert found.dtype == np.float64
    assert (found >= 0).all()
    assert kl_nats(reference, reference) == pytest.approx(np.zeros(3), abs=1e-12)
    # logits and their log-probabilities are the same distribution
    assert kl_nats(normalised(reference), normalised(candidate)) == pytest.approx(found, rel=1e-6, abs=1e-9)


def test_agreement_counts_no_broken_position() -> None:
    reference = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    candidate = np.array([[0.0, 2.0], [0.0, 1.0], [0.0, np.nan]], dtype=np.float32)
    assert agreeing(reference, candidate).tolist() == [True, False, False]
    assert agreeing(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)).size == 0


def test_perplexity() -> None:
    assert perplexity([math.log(0.25)] * 8) == pytest.approx(4.0)
    assert perplexity([]) is None
    assert math.isnan(perplexity([math.nan, -1.0]) or 0.0)
    worst = perplexity([-math.inf, -1.0])
    assert worst is not None
    assert math.isfinite(worst)
    assert worst > 1e300


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_finite_turns_the_rest_to_not_measured(value: float | None) -> None:
    assert finite(value) is None
    assert finite(0.0) == 0.0


def test_gathering_equals_measuring_at_once() -> None:
    rng = np.random.default_rng(7)
    reference = rng.normal(size=(250, 11)).astype(np.float32)
    candidate = reference + rng.normal(scale=0.3, size=(250, 11)).astype(np.float32)
    gathered = Divergence()
    for start in range(0, 250, 40):
        parts = reference[start : start + 40], candidate[start : start + 40]
        gathered.add_figures(kl_nats(*parts).tolist(), int(agreeing(*parts).sum()))
    whole = np.sort(kl_nats(reference, candidate))
    assert gathered.positions == 250
    assert gathered.kl_mean == pytest.approx(float(whole.mean()))
    assert gathered.kl_p99 == pytest.approx(float(whole[247]))
    assert gathered.top1_agreement == agreeing(reference, candidate).mean()


def test_figures_add_up() -> None:
    gathered = Divergence()
    gathered.add_figures([], 0)
    assert gathered.kl_mean is None
    gathered.add_figures([0.0, 0.0], 2)
    gathered.add_figures([0.5, 1.5], 1)
    assert (gathered.positions, gathered.kl_mean, gathered.kl_p99) == (4, 0.5, 1.5)
    assert gathered.top1_agreement == 0.75
    for agreed in (-1, 3):
        with pytest.raises(ValueError, match="cannot agree"):
            gathered.add_figures([0.5, 1.5], agreed)


def test_gathering_nothing_is_none_and_nan_stays() -> None:
    empty = Divergence()
    assert (empty.kl_mean, empty.kl_p99, empty.top1_agreement) == (None, None, None)
    broken = Divergence()
    broken.add_figures([math.nan] * 4, 0)
    assert math.isnan(broken.kl_mean or 0.0)
    assert math.isnan(broken.kl_p99 or 0.0)
    assert broken.top1_agreement == 0.0
