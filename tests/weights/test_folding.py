import numpy as np
from changed_weights import SHAPES, Weights, pairs_of, random_weights, rounded

from qaudit.weights.folding import unfolded
from qaudit.weights.residuals import measure_residual

LAYER = "model.layers.0."


def with_norms(weights: Weights, seed: int) -> Weights:
    draw = np.random.default_rng(seed)
    norms = ("input_layernorm", "post_attention_layernorm")
    return {**weights, **{f"{LAYER}{norm}": 1 + 0.1 * draw.standard_normal(128) for norm in norms}}


def folded(weights: Weights, scale: dict[str, np.ndarray]) -> Weights:
    """As AWQ does it: columns times s, what writes them over s."""
    result = dict(weights)
    readers = {
        "input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj"),
        "mlp.up_proj": ("mlp.down_proj",),
    }
    for writer, names in readers.items():
        s = scale[writer]
        before = result[LAYER + writer]
        result[LAYER + writer] = before / s if before.ndim == 1 else before / s[:, None]
        for name in names:
            result[LAYER + name] = result[LAYER + name] * s
    return result


def scales(seed: int, spread: float = 1.0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    sizes = {"input_layernorm": 128, "post_attention_layernorm": 128, "mlp.up_proj": 256}
    return {name: np.exp(spread * draw.standard_normal(size)) for name, size in sizes.items()}


def test_folded_scales_are_undone() -> None:
    reference = with_norms(random_weights(layers=1), 5)
    pairs = unfolded(pairs_of(reference, folded(reference, scales(1))))
    assert [pair.name for pair in pairs] == [LAYER + name for name in SHAPES]
    for pair in pairs:
        assert measure_residual(pair, None).relative < 1e-5, pair.name
    down = next(pair for pair in pairs if pair.name.endswith("down_proj"))
    assert down.column_scale is not None
    np.testing.assert_allclose(1 / down.column_scale, scales(1)["mlp.up_proj"], rtol=1e-4)


def test_under_rounding_only_the_rounding_is_left() -> None:
    reference = with_norms(random_weights(layers=1), 5)
    shifted = folded(reference, scales(2, spread=0.3))
    candidate = {
        name: rounded(matrix, 4, 128) if matrix.ndim == 2 else matrix for name, matrix in shifted.items()
    }
    for pair in unfolded(pairs_of(reference, candidate)):
        assert measure_residual(pair, None).relative < 0.2, pair.name


def test_without_folding_nothing_is_scaled() -> None:
    reference = with_norms(random_weights(layers=1), 5)
    candidate = {name: rounded(m, 3) if m.ndim == 2 else m for name, m in reference.items()}
    for pair in unfolded(pairs_of(reference, candidate)):
        assert pair.column_scale is None
        np.testing.assert_array_equal(pair.read(0, 2)[1], candidate[pair.name][:2].astype(np.float32))


def test_an_offset_of_norms_is_part_of_them() -> None:
    reference = with_norms(random_weights(layers=1), 5)
    offset = {name: m - 1 if m.ndim == 1 else m for name, m in reference.items()}
    candidate = folded(reference, scales(3))
    stored = {name: m - 1 if m.ndim == 1 else m for name, m in candidate.items()}
    for pair in unfolded(pairs_of(offset, stored), norm_offset=1.0):
        assert measure_residual(pair, None).relative < 1e-5, pair.name


def test_grouped_value_heads_have_no_scales_of_their_own() -> None:
    reference = with_norms(random_weights(layers=1), 5)
    candidate = dict(reference)
    # half as many value outputs as the output projection has inputs
    candidate[f"{LAYER}self_attn.v_proj"] = reference[f"{LAYER}self_attn.v_proj"] * 2
    value = next(p for p in unfolded(pairs_of(reference, candidate)) if p.name.endswith("v_proj"))
    assert measure_residual(value, None).relative == 1.0
