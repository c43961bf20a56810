import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.checkpoints.codecs import grouped
from qaudit.checkpoints.codecs.grouped import OUTPUTS_AT_ONCE, dequantize


def given_out(codes: np.ndarray) -> Callable[[int, int], np.ndarray]:
    return lambda start, stop: codes.T[start:stop]


def one_by_one(codes: np.ndarray, zeros: np.ndarray, scales: np.ndarray, group_of: np.ndarray) -> np.ndarray:
    inputs, outputs = codes.shape
    rows = np.empty((outputs, inputs), np.float32)
    for output in range(outputs):
        for i in range(inputs):
            group = group_of[i]
            difference = int(codes[i, output]) - int(zeros[group, output])
            rows[output, i] = np.float32(difference) * scales[group, output]
    return rows


@settings(max_examples=60, deadline=None)
@given(
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 6),
    groups=st.integers(1, 5),
    ordered=st.booleans(),
    seed=st.integers(0, 1 << 32),
)
def test_as_written_down(inputs: int, outputs: int, groups: int, ordered: bool, seed: int) -> None:
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 256, (inputs, outputs), np.uint8)
    zeros = generator.integers(0, 256, (groups, outputs), np.uint8)
    scales = generator.standard_normal((groups, outputs)).astype(np.float16).astype(np.float32)
    group_of = generator.integers(0, groups, inputs)
    if ordered:
        group_of = np.sort(group_of)
    rows = dequantize(given_out(codes), zeros.T, scales.T, group_of)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, one_by_one(codes, zeros, scales, group_of))


@pytest.mark.parametrize("shuffled", [False, True])
def test_more_outputs_than_are_decoded_at_once(shuffled: bool) -> None:
    generator = np.random.default_rng(0)
    outputs = 2 * OUTPUTS_AT_ONCE + 3
    codes = generator.integers(0, 16, (16, outputs), np.uint8)
    zeros = generator.integers(0, 16, (2, outputs), np.uint8)
    scales = generator.random((2, outputs), np.float32)
    group_of = np.arange(16) % 2 if shuffled else np.arange(16) // 8
    expected = (codes.astype(np.float32) - zeros[group_of]) * scales[group_of]
    np.testing.assert_array_equal(dequantize(given_out(codes), zeros.T, scales.T, group_of), expected.T)


@pytest.mark.parametrize("shuffled", [False, True])
def test_hostile_scales_pass_through_silently(shuffled: bool) -> None:
    codes = np.full((16, 3), 200, np.uint8)
    scales = np.array([[np.inf, np.nan, 3e38]] * 2, np.float32)
    group_of = np.arange(16) % 2 if shuffled else np.arange(16) // 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = dequantize(given_out(codes), np.zeros((3, 2), np.uint8), scales.T, group_of)
    assert np.isposinf(rows[[0, 2]]).all()
    assert np.isnan(rows[1]).all()


@pytest.mark.parametrize("processors", [1, 2, 64])
def test_threads_change_no_bit(processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped, "available_threads", lambda: processors)
    monkeypatch.setattr(grouped, "WEIGHTS_FOR_THREADS", 1)
    generator = np.random.default_rng(0)
    outputs = 20 * OUTPUTS_AT_ONCE + 5
    codes = generator.integers(0, 16, (32, outputs), np.uint8)
    zeros, scales = (
        generator.integers(0, 16, (2, outputs), np.uint8),
        generator.random((2, outputs), np.float32),
    )
    group_of = np.arange(32) // 16
    expected = (codes.astype(np.float32) - zeros[group_of]) * scales[group_of]
    np.testing.assert_array_equal(dequantize(given_out(codes), zeros.T, scales.T, group_of), expected.T)


def test_an_error_in_a_thread_is_ours_to_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped, "WEIGHTS_FOR_THREADS", 1)

    def fails(start: int, stop: int) -> np.ndarray:
        raise ValueError(f"{start}")

    with pytest.raises(ValueError, match="0"):
        dequantize(fails, np.zeros((999, 1), np.uint8), np.ones((999, 1), np.float32), np.zeros(8, np.intp))
