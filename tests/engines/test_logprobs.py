import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qaudit.engines.logprobs import log_softmax


@given(arrays(np.float32, (3, 7), elements=st.floats(-80, 80, width=32)))
def test_sums_to_one_and_keeps_order(logits: np.ndarray) -> None:
    logprobs = log_softmax(logits)
    np.testing.assert_allclose(np.exp(logprobs.astype(np.float64)).sum(axis=-1), 1, rtol=1e-5)
    # logits that differ by less than float32 resolves may tie, never change places
    ordered = np.take_along_axis(logprobs, logits.argsort(axis=-1), axis=-1)
    assert (np.diff(ordered, axis=-1) >= 0).all()


def test_large_logits_do_not_overflow() -> None:
    np.testing.assert_allclose(log_softmax(np.array([1e30, 1e30], np.float32)), np.log([0.5, 0.5]), rtol=1e-6)


def test_one_row_alone_and_among_others_has_the_same_bits() -> None:
    rows = np.random.default_rng(3).normal(0, 9, (5, 400)).astype(np.float32)
    together = log_softmax(rows)
    assert all(together[i].tobytes() == log_softmax(rows[i]).tobytes() for i in range(5))
    assert log_softmax(rows[:0]).shape == (0, 400)
