import numpy as np
import pytest
from changed_weights import (
    LAYERS,
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

from qaudit.errors import InputError
from qaudit.weights.ablation import SPIKE, WeightEvidence, gather, told_names
from qaudit.weights.low_rank import top_spectrum
from qaudit.weights.rounding import RoundingGrid

REFERENCE = random_weights()
DIRECTION = unit(11)
WRITERS = ("o_proj", "down_proj")


def evidence(candidate: Weights, bits: int | None = None) -> WeightEvidence:
    if bits:
        candidate = changed(candidate, lambda _, matrix: rounded(matrix, bits))
    grid = RoundingGrid(bits, 32) if bits else RoundingGrid(24, 0, floating=True)
    return gather(pairs_of(REFERENCE, candidate), dict.fromkeys(REFERENCE, grid))


def layer_of(name: str) -> int:
    return int(name.split(".")[2])


def test_the_same_weights() -> None:
    found = evidence(REFERENCE)
    assert found.kind == "identical"
    assert found.direction is None


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_rounding_alone(bits: int) -> None:
    found = evidence(REFERENCE, bits)
    assert found.kind == "rounding"
    assert found.layers == ()
    assert found.pooled_gap < 1.5
    assert not any(matrix.ablated for matrix in found.matrices)


def test_one_matrix_that_is_farther_off_is_named_and_is_not_the_whole_model() -> None:
    name = "model.layers.2.mlp.up_proj"
    noise = np.random.default_rng(1).standard_normal(REFERENCE[name].shape)
    found = evidence({**REFERENCE, name: REFERENCE[name] + noise}, 4)
    assert found.kind == "rounding"
    assert found.sentence == (
        f"1 of {len(REFERENCE)} matrices lie farther from the reference's than rounding takes them ({name}), "
        "all others do not"
    )
    assert [matrix.name for matrix in found.matrices if matrix.beyond_rounding] == [name]


def test_an_input_with_large_weights_is_rounded_coarsely_and_nothing_else() -> None:
    wide = np.random.default_rng(2).standard_normal((256, 2048))
    wide[:, 5] *= 40
    pair = pair_of("model.layers.0.mlp.down_proj", wide, rounded(wide, 4))
    assert top_spectrum(pair).edge_ratio > SPIKE
    found = gather([pair], {pair.name: RoundingGrid(4, 32)})
    assert found.kind == "rounding"
    assert not found.matrices[0].beyond_rounding


def test_threads_change_nothing_and_an_error_in_one_is_raised() -> None:
    candidate = changed(REFERENCE, lambda _, m: ablated(m, DIRECTION), WRITERS)
    pairs, grids = pairs_of(REFERENCE, candidate), dict.fromkeys(REFERENCE, RoundingGrid(4, 32))
    one, three = (gather(pairs, grids, threads=threads) for threads in (1, 3))
    assert one.sentence == three.sentence
    assert [(m.name, m.residual, m.strength, m.edge_ratio) for m in one.matrices] == [
        (m.name, m.residual, m.strength, m.edge_ratio) for m in three.matrices
    ]
    name = next(iter(REFERENCE))
    with pytest.raises(InputError, match="are not all finite"):
        gather(pairs_of(REFERENCE, {**REFERENCE, name: REFERENCE[name] * np.nan}), grids, threads=3)


def test_names_in_words() -> None:
    assert told_names(["a", "b"]) == "a, b"
    assert told_names(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


@pytest.mark.parametrize(("bits", "strength"), [(None, 1.0), (8, 0.3), (4, 1.0), (4, 0.5), (3, 1.0)])
def test_one_direction_in_all_layers(bits: int | None, strength: float) -> None:
    found = evidence(changed(REFERENCE, lambda _, m: ablated(m, DIRECTION, strength), WRITERS), bits)
    assert found.kind == "directional_ablation"
    assert found.layers == tuple(range(LAYERS))
    assert found.direction is not None
    assert abs(found.direction @ DIRECTION) > 0.97
    writers = [matrix for matrix in found.matrices if matrix.name.endswith(WRITERS)]
    assert [m.strength for m in writers] == pytest.approx([strength] * len(writers), abs=0.12)
    assert found.only_rounded
    # nothing else was changed
    assert all(not m.ablated for m in found.matrices if not m.name.endswith(WRITERS))


def test_two_bits_hide_one_matrix_but_not_the_direction_of_all() -> None:
    found = evidence(changed(REFERENCE, lambda _, m: ablated(m, DIRECTION), WRITERS), 2)
    assert found.direction is None or abs(found.direction @ DIRECTION) > 0.9
    strong = [m for m in found.matrices if m.name.endswith(WRITERS) and m.strength > 0.5]
    assert len(strong) == 2 * LAYERS


def test_a_direction_of_its_own_for_each_layer_with_a_tent_of_strengths() -> None:
    def how(name: str, matrix: Matrix) -> Matrix:
        layer = layer_of(name)
        strength = max(0.0, 1.2 - 0.4 * abs(layer - 3))
        return ablated(matrix, unit(100 + layer), strength) if layer >= 1 else matrix

    found = evidence(changed(REFERENCE, how, WRITERS), 4)
    assert found.kind == "directional_ablation"
    assert set(found.layers) >= {1, 2, 3, 4, 5}
    at = {m.name: m for m in found.matrices}["model.layers.3.mlp.down_proj"]
    assert at.strength == pytest.approx(1.2, abs=0.15)
    assert abs(at.directions[:, 0] @ unit(103)) > 0.95


def test_row_norms_kept_as_heretic_does_it() -> None:
    def how(_name: str, matrix: Matrix) -> Matrix:
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
        cut = ablated(matrix / lengths, DIRECTION)
        return lengths * cut / np.linalg.norm(cut, axis=1, keepdims=True)

    assert evidence(changed(REFERENCE, how, WRITERS), 4).kind == "directional_ablation"


def test_only_attention_in_the_upper_half() -> None:
    def how(name: str, matrix: Matrix) -> Matrix:
        return ablated(matrix, DIRECTION, 1.3) if layer_of(name) >= 3 else matrix

    found = evidence(changed(REFERENCE, how, ("o_proj",)), 4)
    assert found.kind == "directional_ablation"
    assert found.layers == (3, 4, 5)
    assert "layers 3 to 5" in found.sentence


def adapted(rank: int, size: float) -> Weights:
    draw = np.random.default_rng(5)

    def how(_name: str, matrix: Matrix) -> Matrix:
        change = draw.standard_normal((len(matrix), rank)) @ draw.standard_normal((rank, matrix.shape[1]))
        return matrix + change * size * np.linalg.norm(matrix) / np.linalg.norm(change)

    return changed(REFERENCE, how)


def test_an_adapter_is_not_an_ablation() -> None:
    found = evidence(adapted(4, 0.15), 4)
    assert found.kind == "low_rank_edit"
    assert "adapter" in found.sentence


def test_a_fine_tune_of_everything_is_neither() -> None:
    found = evidence(adapted(128, 0.3), 4)
    assert found.kind == "fine_tune"
    assert found.layers == ()


def test_an_ablation_of_an_adapted_model_is_still_seen() -> None:
    found = evidence(changed(adapted(4, 0.05), lambda _, m: ablated(m, DIRECTION), WRITERS), 4)
    assert found.kind == "directional_ablation"
    assert not found.only_rounded
    assert found.direction is not None
    assert abs(found.direction @ DIRECTION) > 0.97


def test_one_layer_alone_is_no_verdict() -> None:
    def how(name: str, matrix: Matrix) -> Matrix:
        return ablated(matrix, DIRECTION) if layer_of(name) == 2 else matrix

    found = evidence(changed(REFERENCE, how, WRITERS), 4)
    assert found.kind == "rounding"
    assert sum(matrix.ablated for matrix in found.matrices) == 2
