import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from qaudit.engines.logprobs import log_softmax


@given(arrays(np.float32, (3, 7), elements=st.floats(-80, 80, width=32)))
def test_sums_to_one_and_keeps_order(logits: np.ndarray) -> None:
    logprobs = log_softmax(logits)
    np.testing.assert_allclose(np.exp(logprobs.astype(np.float64)).sum(axis=-1), 1, rtol=1e-5)
    assert (logprobs.argmax(axis=-1) == logits.argmax(axis=-1)).all()


def test_large_logits_do_not_overflow() -> None:
    np.testing.assert_allclose(log_softmax(np.array([1e30, 1e30], np.float32)), np.log([0.5, 0.5]), rtol=1e-6)
