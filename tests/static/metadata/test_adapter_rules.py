import math
from collections.abc import Callable
from typing import Any

import pytest
from attacks.gguf_builder import F32, STRING, Tensor

from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.metadata.adapter_rules import BOOK

Make = Callable[..., GgufWalk]
PAIRS: dict[str, tuple[int, Any]] = {
    "general.architecture": (STRING, "llama"),
    "general.type": (STRING, "adapter"),
    "adapter.type": (STRING, "lora"),
    "adapter.lora.alpha": (F32, 16.0),
}


def lora(name: str, first: tuple[int, ...], second: tuple[int, ...]) -> list[Tensor]:
    return [Tensor.full(f"{name}.lora_a", first), Tensor.full(f"{name}.lora_b", second)]


HONEST = [
    *lora("blk.0.attn_q.weight", (64, 8), (8, 32)),
    *lora("blk.0.ffn_up_exps.weight", (64, 8, 2), (8, 32, 2)),
    *lora("token_embd.weight", (8, 90), (8, 64)),
]


def severities(walk: GgufWalk) -> dict[str, str]:
    return {finding.id: finding.severity for finding in BOOK.findings(walk)}


def test_an_honest_adapter_and_a_model_break_no_rule(walked: Make) -> None:
    assert severities(walked(PAIRS, HONEST, honest=False)) == {}
    assert severities(walked()) == {}


@pytest.mark.parametrize(
    ("tensors", "pairs", "rule", "severity"),
    [
        (HONEST[:1], {}, "half-a-pair", "high"),
        (lora("blk.0.attn_q.weight", (64, 8), (16, 32)), {}, "shapes-differ", "high"),
        (lora("blk.0.ffn_up_exps.weight", (64, 8, 2), (8, 32, 4)), {}, "shapes-differ", "high"),
        (lora("blk.0.attn_q.weight", (2, 5000), (5000, 2)), {}, "shapes-differ", "high"),
        (HONEST, {"general.type": (STRING, "model")}, "kind-differs", "medium"),
        ([Tensor()], {}, "kind-differs", "medium"),
        ([*HONEST, Tensor.full("output_norm.weight", (32,))], {}, "kind-differs", "low"),
        (HONEST, {"adapter.lora.alpha": None}, "unspecified", "medium"),
        (HONEST, {"adapter.type": None}, "unspecified", "medium"),
        (HONEST, {"adapter.lora.alpha": (F32, math.nan)}, "scale", "high"),
        (HONEST, {"adapter.lora.alpha": (F32, 1e30)}, "scale", "high"),
    ],
)
def test_each_rule_fires(
    walked: Make, tensors: list[Tensor], pairs: dict[str, Any], rule: str, severity: str
) -> None:
    assert severities(walked({**PAIRS, **pairs}, tensors, honest=False)).get(f"adapter/{rule}") == severity
