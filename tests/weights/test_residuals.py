import numpy as np
import pytest
from changed_weights import pair_of, random_weights, rounded

from qaudit.weights import matrix_pairs
from qaudit.weights.residuals import measure_residual
from qaudit.weights.rounding import RoundingGrid

MATRIX = random_weights(layers=1)["model.layers.0.mlp.up_proj"]


def test_the_distance_is_relative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_pairs, "BLOCK_BYTES", 4 * 128 * 7)
    found = measure_residual(pair_of("x", MATRIX, 1.5 * MATRIX), None)
    assert found.relative == pytest.approx(0.5, rel=1e-5)
    assert found.cosine == pytest.approx(1.0)
    assert found.expected is None
    assert found.excess is None


def test_rounding_is_what_rounding_explains() -> None:
    found = measure_residual(pair_of("x", MATRIX, rounded(MATRIX, 4)), RoundingGrid(4, 32))
    assert found.excess is not None
    assert 0.9 < found.excess < 1.15


def test_training_is_not() -> None:
    trained = MATRIX + 0.3 * np.random.default_rng(0).standard_normal(MATRIX.shape) * MATRIX.std()
    found = measure_residual(pair_of("x", MATRIX, rounded(trained, 4)), RoundingGrid(4, 32))
    assert found.excess is not None
    assert found.excess > 3


@pytest.mark.parametrize(("off", "relative", "excess"), [(0.0, 0.0, 0.0), (1.0, 1.0, np.inf)])
def test_a_matrix_of_zeros(off: float, relative: float, excess: float) -> None:
    zeros = np.zeros((4, 32))
    found = measure_residual(pair_of("x", zeros, zeros + off), RoundingGrid(4, 32))
    assert (found.relative, found.excess) == (relative, excess)
