"""Ablations that reach the embeddings and the output matrix too, and what merely looks like one."""

import numpy as np
import pytest
from changed_weights import (
    HIDDEN,
    Matrix,
    Weights,
    ablated,
    changed,
    pair_of,
    pairs_of,
    random_weights,
    rounded,
    unit,
)

from qaudit.weights.ablation import WeightEvidence, gather
from qaudit.weights.rounding import RoundingGrid
from qaudit.weights.token_matrices import TokenEvidence, token_evidence, told_of_tokens

DIRECTION = unit(11)
WRITERS = ("o_proj", "down_proj")
EMBEDDINGS, HEAD = "model.embed_tokens", "lm_head"
TOKENS = 700


def tokens(seed: int) -> Matrix:
    """Rows of unlike lengths around a common one, as embeddings have them."""
    draw = np.random.default_rng(seed)
    lengths = np.exp(0.3 * draw.standard_normal((TOKENS, 1)))
    return lengths * (draw.standard_normal((TOKENS, HIDDEN)) + unit(7) * np.sqrt(HIDDEN))


REFERENCE: Weights = {**random_weights(), EMBEDDINGS: tokens(1), HEAD: tokens(2)}


def taken_out(matrix: Matrix, strength: float = 1.0, direction: Matrix = DIRECTION) -> Matrix:
    return ablated(matrix.T, direction, strength).T


def evidence(candidate: Weights, bits: int | None = None) -> WeightEvidence:
    grid = RoundingGrid(bits, 32) if bits else RoundingGrid(24, 0, floating=True)
    if bits:
        candidate = changed(candidate, lambda _, matrix: rounded(matrix, bits))
    return gather(pairs_of(REFERENCE, candidate), dict.fromkeys(REFERENCE, grid))


def of(found: WeightEvidence, name: str) -> TokenEvidence:
    return next(each for each in found.tokens if each.name == name)


@pytest.mark.parametrize(("bits", "strength"), [(None, 1.0), (8, 0.3), (4, 1.0), (3, 0.6), (2, 1.0)])
def test_an_ablation_of_layers_and_tokens(bits: int | None, strength: float) -> None:
    candidate = changed(REFERENCE, lambda _, m: ablated(m, DIRECTION, strength), WRITERS)
    candidate = changed(candidate, lambda _, m: taken_out(m, strength), (EMBEDDINGS, HEAD))
    found = evidence(candidate, bits)
    for name in (EMBEDDINGS, HEAD):
        seen = of(found, name)
        assert seen.ablated
        assert seen.only_rounded
        assert seen.strength == pytest.approx(strength, abs=0.12)
        assert abs(seen.directions[:, 0] @ DIRECTION) > 0.95
    assert found.kind == "directional_ablation"
    assert "and out of the embeddings (strength" in found.sentence
    assert "the output matrix (strength" in found.sentence


@pytest.mark.parametrize("bits", [None, 2, 3, 4, 8])
def test_layers_alone_are_layers_alone(bits: int | None) -> None:
    candidate = changed(REFERENCE, lambda _, m: ablated(m, DIRECTION), WRITERS)
    found = evidence(candidate, bits)
    assert [each.ablated for each in found.tokens] == [False, False]
    assert told_of_tokens(found.tokens) == ""
    assert found.only_rounded
    assert "embeddings" not in found.sentence


@pytest.mark.parametrize("bits", [None, 4])
def test_tokens_alone_are_seen_too(bits: int | None) -> None:
    found = evidence(changed(REFERENCE, lambda _, m: taken_out(m), (EMBEDDINGS,)), bits)
    assert found.kind == "directional_ablation"
    assert found.layers == ()
    assert "out of the embeddings (strength 1.0" in found.sentence
    assert "out of no layer" in found.sentence
    assert found.direction is not None
    assert abs(found.direction @ DIRECTION) > 0.95
    assert not of(found, HEAD).ablated


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_rounding_is_none(bits: int) -> None:
    found = evidence(REFERENCE, bits)
    assert found.kind == "rounding"
    assert found.only_rounded
    assert not any(each.ablated for each in found.tokens)


def test_equal_rows_are_rounded_alike_and_that_is_none() -> None:
    # tokens that were never trained: their common error is a direction of its own
    untrained = np.tile(tokens(3)[:1], (TOKENS // 2, 1))
    matrix = np.concatenate([tokens(1)[: TOKENS // 2], untrained])
    pair = pair_of(EMBEDDINGS, matrix, rounded(matrix, 4))
    found = token_evidence(pair, RoundingGrid(4, 32), None)
    assert found.edge_ratio > 2
    assert not found.ablated
    assert found.only_rounded


def test_tokens_that_were_trained_are_no_rounding() -> None:
    noise = np.random.default_rng(4).standard_normal((TOKENS, HIDDEN))
    found = evidence(changed(REFERENCE, lambda _, m: m + 0.4 * noise, (EMBEDDINGS,)), 4)
    assert found.kind == "fine_tune"
    assert found.sentence.startswith("the embeddings lie farther")
    assert not found.only_rounded


def test_rounded_tokens_of_untouched_layers_are_not_identical() -> None:
    found = evidence(changed(REFERENCE, lambda _, m: rounded(m, 8), (HEAD,)))
    assert found.kind == "fine_tune"  # floats were promised
    known = gather(
        pairs_of(REFERENCE, changed(REFERENCE, lambda _, m: rounded(m, 8), (HEAD,))),
        {HEAD: RoundingGrid(8, 32)},
    )
    assert known.kind == "rounding"
    assert evidence(REFERENCE).kind == "identical"


def test_an_adapter_on_the_embeddings_is_no_ablation() -> None:
    draw = np.random.default_rng(5)
    change = draw.standard_normal((TOKENS, 2)) @ draw.standard_normal((2, HIDDEN))
    found = evidence(changed(REFERENCE, lambda _, m: m + 0.3 * change, (EMBEDDINGS,)), 8)
    assert not of(found, EMBEDDINGS).ablated
    assert of(found, EMBEDDINGS).edge_ratio > 2
    assert found.kind == "fine_tune"
