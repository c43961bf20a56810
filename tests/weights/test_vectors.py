import numpy as np
import pytest
from changed_weights import Weights, pairs_of, random_weights, rounded

from qaudit.weights.vectors import vector_evidence

LAYER = "model.layers.0."
NORM, VALUE = f"{LAYER}input_layernorm", f"{LAYER}self_attn.v_proj"
DRAW = np.random.default_rng(4)
REFERENCE: Weights = {
    **random_weights(layers=1),
    NORM: 1 + 0.1 * DRAW.standard_normal(128),
    f"{NORM}.bias": DRAW.standard_normal(128),
    f"{VALUE}.bias": DRAW.standard_normal(64),
    "model.norm": 1 + 0.1 * DRAW.standard_normal(128),
}


def states(changes: Weights, reference: Weights = REFERENCE, norm_offset: float = 0.0) -> dict[str, str]:
    candidate = {**reference, **changes}
    found = vector_evidence(pairs_of(reference, candidate), norm_offset)
    return {name: vector.state for name, vector in found.items() if vector.state != "identical"}


def test_the_same_vectors_are_identical_and_matrices_are_not_looked_at() -> None:
    found = vector_evidence(pairs_of(REFERENCE, REFERENCE))
    assert set(found) == {NORM, f"{NORM}.bias", f"{VALUE}.bias", "model.norm"}
    assert states({}) == {}


@pytest.mark.parametrize("name", ["model.norm", f"{VALUE}.bias", f"{NORM}.bias"])
def test_a_changed_vector_is_seen(name: str) -> None:
    assert states({name: REFERENCE[name] * 1.1}) == {name: "changed"}


def test_a_steering_vector_in_a_bias_that_was_zero_is_seen() -> None:
    zeros: Weights = {**REFERENCE, f"{LAYER}mlp.down_proj.bias": np.zeros(128)}
    assert states({f"{LAYER}mlp.down_proj.bias": np.full(128, 1e-3)}, zeros) == {
        f"{LAYER}mlp.down_proj.bias": "changed"
    }


def test_rounding_to_sixteen_bits_is_rounding() -> None:
    low = {name: REFERENCE[name].astype(np.float16) for name in ("model.norm", f"{VALUE}.bias")}
    assert states(low) == {"model.norm": "rounded", f"{VALUE}.bias": "rounded"}


def test_a_norm_that_matrices_read_is_measured_in_them() -> None:
    assert states({NORM: REFERENCE[NORM] * 1.2}) == {NORM: "folded"}
    # nobody here is known to read this one
    alone = {name: tensor for name, tensor in REFERENCE.items() if "proj" not in name or "down" in name}
    assert states({NORM: REFERENCE[NORM] * 1.2}, alone) == {NORM: "changed"}


def test_scales_that_a_quantizer_folded_into_biases_are_undone() -> None:
    scale = np.exp(DRAW.standard_normal(128))
    folded = {NORM: REFERENCE[NORM] / scale, f"{NORM}.bias": REFERENCE[f"{NORM}.bias"] / scale}
    assert states(folded) == {NORM: "folded", f"{NORM}.bias": "rounded"}
    rows = np.exp(DRAW.standard_normal(64))
    value = {
        VALUE: rounded(REFERENCE[VALUE] / rows[:, None], 4),
        f"{VALUE}.bias": REFERENCE[f"{VALUE}.bias"] / rows,
    }
    assert states(value) == {f"{VALUE}.bias": "rounded"}
    # what no scale explains is not excused by there being one
    steered = {**folded, f"{NORM}.bias": folded[f"{NORM}.bias"] + 0.5}
    assert states(steered)[f"{NORM}.bias"] == "changed"


def test_the_offset_of_a_familys_norms_counts() -> None:
    reference: Weights = {**REFERENCE, NORM: REFERENCE[NORM] - 1}
    scale = np.full(128, 2.0)
    folded = {NORM: REFERENCE[NORM] / scale - 1, f"{NORM}.bias": REFERENCE[f"{NORM}.bias"] / scale}
    assert states(folded, reference, 1.0)[f"{NORM}.bias"] == "rounded"


def test_a_norms_weight_set_to_zero_is_told_in_no_matrix() -> None:
    without = REFERENCE[NORM].copy()
    without[5] = 0
    assert states({NORM: without}) == {NORM: "changed"}


def test_a_norm_behind_the_attention_is_not_in_front_of_the_feed_forward_part() -> None:
    front, behind = f"{LAYER}pre_feedforward_layernorm", f"{LAYER}post_attention_layernorm"
    four: Weights = {**REFERENCE, front: np.ones(128), behind: np.ones(128)}
    assert states({behind: np.full(128, 1.5), front: np.full(128, 1.5)}, four) == {
        behind: "changed",
        front: "folded",
    }


def test_a_bias_is_scaled_as_its_module_is_beside_the_scale_of_the_norm() -> None:
    """AWQ of a model with biases: the columns of the value projection hold the norm's scale."""
    columns, rows = np.exp(0.5 * DRAW.standard_normal(128)), np.exp(DRAW.standard_normal(64))
    folded = {
        NORM: REFERENCE[NORM] / columns,
        VALUE: rounded(REFERENCE[VALUE] * columns / rows[:, None], 4),
        f"{VALUE}.bias": REFERENCE[f"{VALUE}.bias"] / rows,
    }
    for name in ("q_proj", "k_proj"):
        folded[f"{LAYER}self_attn.{name}"] = REFERENCE[f"{LAYER}self_attn.{name}"] * columns
    assert states(folded) == {NORM: "folded", f"{VALUE}.bias": "rounded"}
