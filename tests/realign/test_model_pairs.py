"""Models in memory as pairs of matrices."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from qaudit.weights.residuals import measure_residual  # noqa: E402
from realign.model_pairs import model_pairs  # noqa: E402
from realign.plain_quantization import load_float  # noqa: E402


def test_every_matrix_of_blocks_and_tokens_is_paired(grouped: Path) -> None:
    parent, reference = load_float(grouped), load_float(grouped)
    with torch.no_grad():
        parent.model.layers[2].mlp.up_proj.weight.mul_(1.5)
    pairs = {pair.name: pair for pair in model_pairs(parent, reference)}
    assert len(pairs) == 4 * 7 + 2
    outside = {name: pair.role for name, pair in pairs.items() if pair.layer is None}
    assert outside == {"model.embed_tokens": "embeddings", "lm_head": "output"}
    assert all(np.isfinite(pair.read(0, 1)[1]).all() for pair in pairs.values())
    changed = pairs["model.layers.2.mlp.up_proj"]
    assert (changed.layer, changed.role) == (2, "up")
    rows, _ = changed.read(0, 3)
    np.testing.assert_array_equal(rows, reference.model.layers[2].mlp.up_proj.weight[:3].detach().numpy())
    off = {name for name, pair in pairs.items() if measure_residual(pair, None).relative > 0}
    # half as large again is a scale, which the matrix after it was not given
    assert off == {"model.layers.2.mlp.down_proj"}


def test_scales_in_norms_are_undone(grouped: Path) -> None:
    parent, reference = load_float(grouped), load_float(grouped)
    scale = torch.exp(torch.randn(64, generator=torch.Generator().manual_seed(1)))
    block = parent.model.layers[1]
    with torch.no_grad():
        block.input_layernorm.weight.div_(scale)
        for name in ("q_proj", "k_proj", "v_proj"):
            block.self_attn.get_submodule(name).weight.mul_(scale)
    for pair in model_pairs(parent, reference):
        assert measure_residual(pair, None).relative < 1e-5, pair.name
