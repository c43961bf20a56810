import numpy as np
import pytest
from changed_weights import ablated, pair_of, pairs_of, random_weights, rounded, unit

from qaudit.weights.low_rank import top_spectrum
from qaudit.weights.matched_filter import consistency, null_strength, refined, strengths

NAME = "model.layers.0.mlp.down_proj"
MATRIX = random_weights(layers=1)[NAME]
DIRECTION = unit(3)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("strength", [1.0, 0.3, -0.5])
def test_the_strength_is_told_under_rounding(bits: int, strength: float) -> None:
    candidate = rounded(ablated(MATRIX, DIRECTION, strength), bits)
    pair = pair_of(NAME, MATRIX, candidate)
    assert strengths(pair, DIRECTION[:, None])[0] == pytest.approx(strength, abs=0.12)
    null = null_strength(pair)
    assert abs(null.median) < 0.08
    assert null.deviation < 0.1


def test_a_direction_that_is_never_written_has_no_strength() -> None:
    silent = ablated(MATRIX, DIRECTION)
    found = strengths(pair_of(NAME, silent, MATRIX), np.stack([DIRECTION, unit(9)], axis=1))
    assert np.isfinite(found).all()
    zeros = np.zeros_like(MATRIX)
    assert strengths(pair_of(NAME, zeros, MATRIX), DIRECTION[:, None])[0] == 0


def test_an_ablation_reads_what_the_reference_sends_there() -> None:
    candidate = rounded(ablated(MATRIX, DIRECTION), 4)
    pair = pair_of(NAME, MATRIX, candidate)
    found = consistency(pair, top_spectrum(pair))
    assert found.cosines[0] > 0.95
    assert found.strengths[0] == pytest.approx(1, abs=0.1)
    assert abs(found.directions[:, 0] @ DIRECTION) > 0.95


def test_an_adapter_does_not() -> None:
    draw = np.random.default_rng(8)
    adapter = draw.standard_normal((128, 4)) @ draw.standard_normal((4, 256)) * 0.1
    pair = pair_of(NAME, MATRIX, rounded(MATRIX + adapter, 4))
    found = consistency(pair, top_spectrum(pair))
    assert found.cosines[:4].max() < 0.5


def test_ablation_of_normalised_rows_is_seen_as_well() -> None:
    # rows of very unlike lengths: the plain ablation of the same direction would be another change
    matrix = MATRIX * np.exp(np.random.default_rng(4).standard_normal((128, 1)))
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    candidate = rounded(lengths * ablated(matrix / lengths, DIRECTION), 4)
    pair = pair_of(NAME, matrix, candidate)
    assert consistency(pair, top_spectrum(pair)).cosines[0] > 0.9


def test_several_matrices_tell_the_direction_better_than_one() -> None:
    weights = random_weights(layers=6)
    writers = {n: m for n, m in weights.items() if n.endswith(("o_proj", "down_proj"))}
    candidate = {n: rounded(ablated(m, DIRECTION, 0.6), 2) for n, m in writers.items()}
    guess = DIRECTION + 0.08 * np.random.default_rng(2).standard_normal(128)
    guess /= np.linalg.norm(guess)
    found = refined(pairs_of(writers, candidate), guess)
    assert abs(guess @ DIRECTION) < 0.8
    assert found @ DIRECTION > 0.93


def test_where_nothing_changed_the_guess_is_kept() -> None:
    np.testing.assert_array_equal(refined([pair_of(NAME, MATRIX, MATRIX)], DIRECTION), DIRECTION)
