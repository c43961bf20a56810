"""SNIP's scores, against a weight that is really set to zero, and what may change by them."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from tiny_llamas import prompts, tiny_llama  # noqa: E402

from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.reply_rows import logits_where, reply_log_probabilities, reply_rows  # noqa: E402
from realign.solvers.patched_linear import PatchedLinear, PatchShape, patched  # noqa: E402
from realign.solvers.range_search import best_ranges  # noqa: E402
from realign.solvers.safety_mask import masks, safety_scores, top_fraction  # noqa: E402

NAMES = ["model.layers.0.self_attn.v_proj", "model.layers.1.mlp.down_proj"]
GRID = GroupGrid(4, 32, symmetric=False)


def patches(model: object, shape: PatchShape) -> dict[str, PatchedLinear]:
    draw = torch.Generator().manual_seed(1)
    found = {}
    for name in NAMES:
        layer = model.get_submodule(name)  # type: ignore[attr-defined]
        found[name] = PatchedLinear(layer, GRID, best_ranges(layer.weight, GRID), shape, draw)
    return found


def test_scores_are_the_slope_times_the_weight() -> None:
    model = tiny_llama(0, sharpness=2.0)
    layers = patches(model, PatchShape())
    batches = [reply_rows(prompts(seed, 3), [(7, 8), (9,), (5, 6, 2)]) for seed in (1, 2)]
    with patched(model, layers):
        scores = safety_scores(model, layers, batches)
        # one weight at a time, by a small difference
        for name, place in ((NAMES[0], (3, 4)), (NAMES[1], (11, 50))):
            weight = layers[name].rounded().detach()
            total = 0.0
            for rows in batches:
                losses = []
                for off in (-1e-2, 1e-2):
                    moved = weight.clone()
                    moved[place] += off
                    layers[name].held = moved
                    found = reply_log_probabilities(logits_where(model, rows, rows.replies), rows)
                    losses.append(-float(found.detach().sum()))
                layers[name].held = None
                total += abs(float(weight[place]) * (losses[1] - losses[0]) / 2e-2)
            assert float(scores[name][place]) == pytest.approx(total, rel=2e-2, abs=1e-4)


def test_masks_fit_the_parts() -> None:
    model = tiny_llama(0)
    generator = torch.Generator().manual_seed(3)
    for shape in (PatchShape(ranges=True), PatchShape(rank=4)):
        layers = patches(model, shape)
        scores = {
            name: torch.rand(layer.latent().shape, generator=generator) for name, layer in layers.items()
        }
        found = masks(layers, scores, 0.25)
        parts = [(part, value) for layer in layers.values() for part, value in layer.parts.items()]
        assert len(found) == len(parts)
        for (part, value), mask in zip(parts, found, strict=True):
            assert torch.broadcast_shapes(mask.shape, value.shape) == value.shape
            assert float(mask.float().mean()) == pytest.approx(1.0 if part == "ends" else 0.25)


def test_rows_and_columns_are_those_whose_scores_add_up_to_most() -> None:
    model = tiny_llama(0)
    layers = patches(model, PatchShape(rank=4))
    scores = {name: torch.zeros_like(layer.latent()) for name, layer in layers.items()}
    scores[NAMES[0]][5] = 1.0
    scores[NAMES[0]][:, 7:9] = 2.0
    # of 32 columns and 16 rows
    columns, rows, _, _ = masks(layers, scores, 1 / 16)
    assert columns.nonzero().tolist() == [[0, 7], [0, 8]]
    assert rows.nonzero().tolist() == [[5, 0]]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.floats(0, 1))
def test_the_top_fraction_is_on_top(values: list[float], fraction: float) -> None:
    scores = torch.tensor(values)
    kept = top_fraction(scores, fraction)
    assert int(kept.sum()) >= round(fraction * len(values)) or round(fraction * len(values)) == 0
    if kept.any() and not kept.all():
        assert scores[kept].min() > scores[~kept].max()
        # without ties not one too many
        if len(set(scores.tolist())) == len(values):
            assert int(kept.sum()) == round(fraction * len(values))
