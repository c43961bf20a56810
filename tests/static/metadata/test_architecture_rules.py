import math
from collections.abc import Callable
from typing import Any

import pytest
from attacks.gguf_builder import ARRAY, F32, STRING, U32, Tensor, strings

from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.metadata.architecture_rules import BOOK

Make = Callable[..., GgufWalk]


def severities(walk: GgufWalk) -> dict[str, str]:
    return {finding.id: finding.severity for finding in BOOK.findings(walk)}


@pytest.mark.parametrize(
    "pairs",
    [
        {},
        {"llama.attention.head_count": (ARRAY, (U32, [4, 0])), "llama.attention.head_count_kv": (ARRAY, (U32, [2, 0]))},
        {"llama.block_count": (U32, 3), "llama.nextn_predict_layers": (U32, 1)},
        {"llama.attention.head_count": (U32, 3), "llama.attention.key_length": (U32, 64), "llama.attention.head_count_kv": (U32, 3)},
        {"general.architecture": (STRING, "mamba"), "mamba.attention.head_count": (U32, 0)},
        {"llama.context_length": (U32, 10_485_760)},
    ],
)  # fmt: skip
def test_sizes_of_real_models_break_no_rule(walked: Make, pairs: dict[str, Any]) -> None:
    assert severities(walked(pairs)) == {}


@pytest.mark.parametrize(
    ("pairs", "rule", "severity"),
    [
        ({"llama.block_count": (U32, 513)}, "too-many-blocks", "high"),
        ({"llama.expert_count": (U32, 4096)}, "too-many-blocks", "high"),
        ({"llama.block_count": (U32, 3)}, "blocks-missing", "high"),
        ({"llama.block_count": (U32, 1)}, "blocks-beyond", "medium"),
        ({"llama.expert_count": (U32, 4), "llama.expert_used_count": (U32, 8)}, "experts-differ", "high"),
        ({"llama.attention.head_count": (U32, 0)}, "head-division", "high"),
        ({"llama.attention.head_count": (U32, 3)}, "head-division", "high"),
        ({"llama.attention.head_count_kv": (U32, 3)}, "head-division", "high"),
        ({"llama.attention.head_count_kv": (ARRAY, (U32, [2, 3]))}, "head-division", "high"),
        ({"llama.context_length": (U32, 0)}, "zero-size", "high"),
        ({"llama.context_length": (U32, 1 << 31)}, "huge-context", "medium"),
        ({"llama.embedding_length": (U32, 512)}, "embedding-length", "high"),
        ({"llama.vocab_size": (U32, 9), "tokenizer.ggml.tokens": (ARRAY, strings(["a"]))}, "vocabulary-size", "medium"),
        ({"llama.rope.dimension_count": (U32, 63)}, "odd-rope", "medium"),
        ({"llama.rope.dimension_count": (U32, 128)}, "odd-rope", "medium"),
        ({"llama.attention.layer_norm_rms_epsilon": (F32, math.nan)}, "bad-fraction", "high"),
        ({"llama.attention.layer_norm_rms_epsilon": (F32, 5.0)}, "bad-fraction", "high"),
        ({"llama.rope.freq_base": (F32, 0.0)}, "bad-fraction", "high"),
        ({"llama.logit_scale": (F32, -math.inf)}, "bad-fraction", "high"),
    ],
)  # fmt: skip
def test_each_rule_fires(walked: Make, pairs: dict[str, Any], rule: str, severity: str) -> None:
    assert severities(walked(pairs)).get(f"architecture/{rule}") == severity


def test_experts_of_the_tensors(walked: Make) -> None:
    tensors = [
        Tensor.full("blk.0.ffn_up_exps.weight", (32, 2, 4)),
        Tensor.full("blk.1.attn_q.weight", (32, 2)),
    ]
    assert "architecture/experts-differ" in severities(walked({"llama.expert_count": (U32, 8)}, tensors))
    assert "architecture/experts-differ" not in severities(walked({"llama.expert_count": (U32, 4)}, tensors))


def test_a_file_without_anything_breaks_no_rule(walked: Make) -> None:
    assert severities(walked(tensors=[], honest=False)) == {}
