import math
from collections.abc import Callable
from typing import Any

import pytest
from attacks.gguf_builder import ARRAY, BOOL, F32, I32, STRING, U32, Tensor

from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.metadata.projector_rules import BOOK

Make = Callable[..., GgufWalk]
VISION = "clip.vision"
HONEST: dict[str, tuple[int, Any]] = {
    "general.architecture": (STRING, "clip"),
    "clip.has_vision_encoder": (BOOL, True),
    f"{VISION}.block_count": (U32, 2),
    f"{VISION}.embedding_length": (U32, 64),
    f"{VISION}.attention.head_count": (U32, 4),
    f"{VISION}.image_size": (U32, 336),
    f"{VISION}.patch_size": (U32, 14),
    f"{VISION}.image_mean": (ARRAY, (F32, [0.5, 0.5, 0.5])),
    f"{VISION}.image_std": (ARRAY, (F32, [0.25, 0.25, 0.25])),
    f"{VISION}.feature_layer": (ARRAY, (I32, [-1, 2])),
    f"{VISION}.n_wa_pattern": (U32, 0),
    f"{VISION}.attention.layer_norm_epsilon": (F32, 1e-6),
}
TENSORS = [Tensor.full("v.blk.0.ffn_up.weight", (32, 2)), Tensor.full("v.blk.1.ffn_up.weight", (32, 2))]


def severities(walk: GgufWalk) -> dict[str, str]:
    return {finding.id: finding.severity for finding in BOOK.findings(walk)}


def test_an_honest_projector_and_a_language_model_break_no_rule(walked: Make) -> None:
    assert severities(walked(HONEST, TENSORS, honest=False)) == {}
    assert severities(walked()) == {}


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        (f"{VISION}.block_count", (U32, 100_000), "out-of-bounds"),
        (f"{VISION}.patch_size", (U32, 0), "out-of-bounds"),
        ("clip.audio.chunk_size", (U32, 1 << 20), "out-of-bounds"),
        (f"{VISION}.patch_size", (U32, 500), "patches"),
        (f"{VISION}.image_size", (U32, 16_000), None),
        (f"{VISION}.attention.head_count", (U32, 5), "head-division"),
        (f"{VISION}.block_count", (U32, 1), "blocks-differ"),
        (f"{VISION}.feature_layer", (ARRAY, (I32, [9])), "layer-number"),
        (f"{VISION}.wa_layer_indexes", (ARRAY, (I32, [-9])), "layer-number"),
        (f"{VISION}.image_std", (ARRAY, (F32, [0.0, 1.0, 1.0])), "bad-normalisation"),
        (f"{VISION}.image_mean", (ARRAY, (F32, [math.nan, 1.0, 1.0])), "bad-normalisation"),
        (f"{VISION}.attention.layer_norm_epsilon", (F32, -1.0), "bad-normalisation"),
    ],
)
def test_each_rule_fires(walked: Make, key: str, value: tuple[int, Any], rule: str | None) -> None:
    found = severities(walked({**HONEST, key: value}, TENSORS, honest=False))
    if rule is None:  # 16000 pixels are many patches, patches of 14 are 1142 along a side
        assert found == {"projector/patches": "high"}
    else:
        assert found.get(f"projector/{rule}") == "high"


def test_pixels_at_least_and_at_most(walked: Make) -> None:
    pairs = {f"{VISION}.image_min_pixels": (U32, 900), f"{VISION}.image_max_pixels": (U32, 9)}
    assert severities(walked({**HONEST, **pairs}, TENSORS, honest=False)) == {"projector/patches": "high"}
