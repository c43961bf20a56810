import numpy as np
from changed_weights import SHAPES, Weights, pairs_of, random_weights, rounded

from qaudit.weights.folding import can_be_folded, norms_read, unfolded
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


def test_every_experts_scales_are_undone_and_a_routers_where_it_has_them() -> None:
    draw = np.random.default_rng(7)
    moe, norm = f"{LAYER}block_sparse_moe.", f"{LAYER}post_attention_layernorm"
    shapes = {"w1": (256, 128), "w3": (256, 128), "w2": (128, 256)}
    reference: Weights = {
        norm: 1 + 0.1 * draw.standard_normal(128),
        f"{moe}gate": draw.standard_normal((4, 128)),
    }
    for expert in range(3):
        for name, shape in shapes.items():
            reference[f"{moe}experts.{expert}.{name}"] = draw.standard_normal(shape)
    scale = np.exp(draw.standard_normal(128))
    folded_in = {**reference, norm: reference[norm] / scale}
    for expert in range(3):
        inner = np.exp(draw.standard_normal(256))
        place = f"{moe}experts.{expert}."
        folded_in[f"{place}w1"] = reference[f"{place}w1"] * scale
        folded_in[f"{place}w3"] = reference[f"{place}w3"] * scale / inner[:, None]
        folded_in[f"{place}w2"] = reference[f"{place}w2"] * inner
    for gate in (reference[f"{moe}gate"], reference[f"{moe}gate"] * scale):
        for pair in unfolded(pairs_of(reference, {**folded_in, f"{moe}gate": gate})):
            assert measure_residual(pair, None).relative < 1e-5, pair.name


def test_scales_within_fused_matrices_are_undone() -> None:
    draw = np.random.default_rng(8)
    qkv, out = f"{LAYER}self_attn.qkv_proj", f"{LAYER}self_attn.o_proj"
    both, down = f"{LAYER}mlp.gate_up_proj", f"{LAYER}mlp.down_proj"
    shapes = {qkv: (384, 128), out: (128, 128), both: (512, 128), down: (128, 256)}
    reference: Weights = {name: draw.standard_normal(shape) for name, shape in shapes.items()}
    candidate = dict(reference)
    for writer, reader in ((qkv, out), (both, down)):
        scale = np.exp(draw.standard_normal(shapes[reader][1]))
        rows = np.concatenate([np.ones(shapes[writer][0] - len(scale)), scale])
        candidate[writer] = reference[writer] / rows[:, None]
        candidate[reader] = reference[reader] * scale
    for pair in unfolded(pairs_of(reference, candidate)):
        assert measure_residual(pair, None).relative < 1e-5, pair.name
    # the first rows are no value heads: what scales them is an edit
    candidate[qkv] = reference[qkv] * np.where(np.arange(384) < 128, 3.0, 1.0)[:, None]
    found = next(p for p in unfolded(pairs_of(reference, candidate)) if p.name == qkv)
    assert measure_residual(found, None).relative > 0.5


def test_of_two_norms_before_the_feed_forward_part_the_one_in_front_counts() -> None:
    names = [f"{LAYER}pre_feedforward_layernorm", f"{LAYER}post_attention_layernorm"]
    for order in (names, names[::-1]):
        pairs = pairs_of(*2 * ({name: np.ones(8) for name in order},))
        assert {norm.name for norm in norms_read(pairs).values()} == {names[0]}


def test_a_weight_that_only_one_norm_has_cannot_be_folded() -> None:
    one, other = np.ones(4, np.float32), np.array([1, 2, 0, 1], np.float32)
    assert not can_be_folded(one, other)
    assert not can_be_folded(other, one)
    assert can_be_folded(other, 2 * other)
