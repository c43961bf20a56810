import numpy as np
import pytest
from changed_weights import Weights, ablated, changed, pairs_of, random_weights, rounded, unit

from qaudit.weight_values import ComparedTensor
from qaudit.weights.ablation import gather
from qaudit.weights.compared_tensors import NO_END, told_tensors
from qaudit.weights.residuals import measure_residual
from qaudit.weights.rounding import RoundingGrid
from qaudit.weights.vectors import vector_evidence

REFERENCE: Weights = {**random_weights(layers=3), "model.norm": np.ones(128), "wpe": np.ones((4, 128))}
GRID = RoundingGrid(4, 32)


def told(
    candidate: Weights, grid: RoundingGrid | None = GRID, packed_as: str | None = None
) -> dict[str, ComparedTensor]:
    pairs = pairs_of(REFERENCE, candidate)
    inside = [pair for pair in pairs if pair.layer is not None]
    evidence = gather(inside, dict.fromkeys(REFERENCE, grid))
    rest = {"wpe": measure_residual(next(p for p in pairs if p.name == "wpe"), grid)}
    found = told_tensors(pairs, evidence, vector_evidence(pairs), rest, packed_as)
    assert [tensor.name for tensor in found] == list(REFERENCE)
    return {tensor.name: tensor for tensor in found}


def in_four_bits(weights: Weights) -> Weights:
    return {n: rounded(w, 4) if w.ndim == 2 and n != "wpe" else w for n, w in weights.items()}


def test_the_states() -> None:
    same = told(REFERENCE)
    assert {tensor.state for tensor in same.values()} == {"identical"}
    assert (same["model.norm"].role, same["wpe"].role) == ("vector", "other")
    low = told(in_four_bits(REFERENCE))
    assert {tensor.state for tensor in low.values()} == {"identical", "rounded"}
    up = low["model.layers.1.mlp.up_proj"]
    assert (up.layer, up.rows, up.columns, up.role) == (1, 256, 128, "up")
    assert up.excess == pytest.approx(1.0, abs=0.1)
    unknown = told(in_four_bits(REFERENCE), None)
    assert unknown["model.layers.1.mlp.up_proj"].state == "unjudged"
    assert unknown["model.layers.1.mlp.up_proj"].excess is None


def test_an_ablated_matrix_says_how_much_and_one_that_is_more_than_ablated_is_changed() -> None:
    writers = ("o_proj", "down_proj")
    taken = changed(REFERENCE, lambda _, matrix: ablated(matrix, unit(3)), writers)
    seen = told(in_four_bits(taken))
    assert {n for n, t in seen.items() if t.state == "ablated"} == {
        n for n in REFERENCE if n.endswith(writers)
    }
    assert seen["model.layers.0.mlp.down_proj"].strength == pytest.approx(1.0, abs=0.1)
    name = "model.layers.2.mlp.down_proj"
    noise = np.random.default_rng(0).standard_normal((128, 256))
    more = told(in_four_bits({**taken, name: taken[name] + noise}))
    assert more[name].state == "changed"


def test_a_few_changed_matrices_are_seen_and_figures_without_end_are_told() -> None:
    exact = RoundingGrid(24, 0, floating=True)
    name = "model.layers.1.mlp.up_proj"
    # one entry, so that nothing of the change is noise
    edited = REFERENCE[name].copy()
    edited[3, 5] += 1
    found = told({**REFERENCE, name: edited, "wpe": REFERENCE["wpe"] + 1}, exact)
    assert found[name].state == "changed"
    assert found[name].edge_ratio is not None
    assert 100 < found[name].edge_ratio <= NO_END
    assert found["wpe"].state == "changed"


def test_a_packed_module_is_told_as_its_scheme() -> None:
    assert told(REFERENCE, packed_as="AWQ 4-bit g128")["wpe"].stored == "F32"
