import numpy as np
import pytest
from changed_weights import pair_of, random_weights, rounded

from qaudit.weights import matrix_pairs
from qaudit.weights.residuals import measure_residual
from qaudit.weights.rounding import PLAIN, RoundingGrid, trips_of

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


@pytest.mark.parametrize("whose", ["the checkpoint", "the reference"])
@pytest.mark.parametrize(
    ("stored", "place"), [("F32", 0), ("F16", 0), ("F32", 1), ("BF16", 0), ("F8_E4M3", 1)]
)
def test_floats_that_were_rounded_on_their_way_are_explained(whose: str, stored: str, place: int) -> None:
    # so small that an 8-bit float has few steps there
    exact = (0.004 * MATRIX).astype(np.float32)
    through = trips_of(PLAIN[stored])[place](exact)
    given = (exact, through) if whose == "the checkpoint" else (through, exact)
    found = measure_residual(pair_of("x", *given), PLAIN[stored])
    assert found.relative > 0
    assert found.excess is not None
    assert found.excess < 1.1


@pytest.mark.parametrize("stored", ["F32", "F16"])
def test_training_of_floats_is_not_excused_by_what_they_were_rounded_to(stored: str) -> None:
    drawn = np.random.default_rng(0).standard_normal(MATRIX.shape)
    (as_bfloat16, _), grid = trips_of(PLAIN[stored]), PLAIN[stored]
    trained = as_bfloat16((MATRIX + 0.002 * drawn * MATRIX.std()).astype(np.float32))
    found = measure_residual(pair_of("x", MATRIX, trained), grid)
    assert found.excess is not None
    assert found.excess > 5
