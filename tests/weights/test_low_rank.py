from dataclasses import replace

import numpy as np
import pytest
from changed_weights import pair_of, random_weights, rounded, unit

from qaudit.weights import matrix_pairs
from qaudit.weights.low_rank import against_rounding, top_spectrum
from qaudit.weights.rounding import RoundingGrid

NAME = "model.layers.0.mlp.down_proj"
MATRIX = random_weights(layers=1)[NAME]
LENGTHS = np.linalg.norm(MATRIX, axis=1, keepdims=True)


def test_it_finds_what_the_full_decomposition_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_pairs, "BLOCK_BYTES", 4 * MATRIX.shape[1] * 17)
    draw = np.random.default_rng(1)
    change = sum(
        strength * np.outer(unit(seed, 128), unit(seed + 50, 256)) * LENGTHS
        for seed, strength in enumerate((9.0, 6.0, 4.0))
    ) + 0.01 * draw.standard_normal(MATRIX.shape)
    found = top_spectrum(pair_of(NAME, MATRIX, MATRIX + change))
    exact = np.linalg.svd(change / LENGTHS, full_matrices=False)
    np.testing.assert_allclose(found.values[:3], exact[1][:3], rtol=1e-4)
    assert np.abs(np.sum(found.left[:, :3] * exact[0][:, :3], axis=0)).min() > 0.999
    assert np.abs(np.sum(found.right[:, :3] * exact[2][:3].T, axis=0)).min() > 0.999
    assert found.energy == pytest.approx(np.square(change / LENGTHS).sum(), rel=1e-4)
    assert found.share > 0.99
    np.testing.assert_allclose(found.lengths, LENGTHS[:, 0], rtol=1e-5)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_rounding_has_no_direction(bits: int) -> None:
    found = top_spectrum(pair_of(NAME, MATRIX, rounded(MATRIX, bits)))
    assert 0.85 < found.edge_ratio < 1.15


def test_the_same_weights_have_none_either() -> None:
    found = top_spectrum(pair_of(NAME, MATRIX, MATRIX))
    assert found.edge_ratio == 0
    assert found.energy == 0
    assert found.share == 0


def test_a_pure_change_has_no_noise_to_stand_out_from() -> None:
    found = top_spectrum(pair_of("x", np.eye(8), np.eye(8) + np.outer(unit(1, 8), unit(2, 8))), rank=2)
    assert found.edge_ratio > 100


def test_a_row_of_zeros_has_length_one() -> None:
    reference, candidate = MATRIX.copy(), rounded(MATRIX, 4)
    reference[5] = candidate[5] = 0
    found = top_spectrum(pair_of(NAME, reference, candidate))
    assert found.lengths[5] == 1
    assert np.isfinite(found.values).all()


def test_the_same_seed_gives_the_same_directions() -> None:
    pair = pair_of(NAME, MATRIX, rounded(MATRIX, 4))
    np.testing.assert_array_equal(top_spectrum(pair).left, top_spectrum(pair).left)


GRID = RoundingGrid(4, 32)


def with_outliers(matrix: np.ndarray) -> np.ndarray:
    """A few inputs with large weights, as real models have them: their groups are rounded coarsely."""
    result = matrix.copy()
    result[:, [37, 150]] *= 40
    return result


def test_what_rounding_alone_makes_stand_out_does_not() -> None:
    matrix = with_outliers(MATRIX)
    pair = pair_of(NAME, matrix, rounded(matrix, 4))
    plain = top_spectrum(pair)
    assert plain.edge_ratio > 1.5
    assert against_rounding(pair, GRID, plain).edge_ratio == pytest.approx(1.0, abs=0.1)
    # an edit still does
    edited = matrix + 2 * np.outer(unit(3, 128), unit(4, 256)) * LENGTHS
    pair = pair_of(NAME, matrix, rounded(edited, 4))
    assert against_rounding(pair, GRID, top_spectrum(pair)).edge_ratio > 2


def test_a_scale_of_columns_is_rounded_with() -> None:
    matrix, scale = with_outliers(MATRIX), np.ones(256, np.float32)
    # with these columns small again rounding has nothing that stands out
    scale[[37, 150]] = 40
    pair = pair_of(NAME, matrix, rounded(matrix / scale, 4) * scale)
    found = against_rounding(replace(pair, column_scale=scale), GRID, top_spectrum(pair))
    assert found.edge_ratio == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("grid", [None, RoundingGrid(11, 0, floating=True)])
def test_without_a_grid_of_codes_nothing_is_held_against(grid: RoundingGrid | None) -> None:
    pair = pair_of(NAME, MATRIX, rounded(MATRIX, 4))
    spectrum = top_spectrum(pair)
    assert against_rounding(pair, grid, spectrum) is spectrum
