from array import array
from typing import Any

import pytest

from qaudit.static.metadata.compare import compare_settings
from qaudit.static.model_parts import ModelParts

GGUF: dict[str, Any] = {
    "general.architecture": "llama", "general.name": "Model", "llama.block_count": 2, "llama.rope.freq_base": 10000.0,
    "llama.attention.head_count_kv": 8, "llama.context_length": 4096, "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "tokenizer.ggml.add_bos_token": True, "general.file_type": 7, "llama.vocab_size": 100,
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "config.json:num_hidden_layers": 2, "config.json:rope_theta": 10000, "config.json:num_key_value_heads": 8,
    "config.json:max_position_embeddings": 4096, "config.json:rms_norm_eps": 1e-5, "config.json:model_type": "llama",
    "config.json:vocab_size": 100,
}  # fmt: skip


def gguf(**changes: Any) -> ModelParts:
    return ModelParts("m.gguf", "gguf", settings={**GGUF, **changes})


def folder(**changes: Any) -> ModelParts:
    return ModelParts("m", "safetensors", settings={**CONFIG, **changes})


def severities(candidate: ModelParts, reference: ModelParts) -> dict[str, str]:
    return {finding.id: finding.severity for finding in compare_settings(candidate, reference)}


@pytest.mark.parametrize(
    ("candidate", "reference"),
    [
        (gguf(), gguf()),
        (gguf(), folder()),
        (folder(), gguf()),
        (folder(), folder()),
        (gguf(**{"general.file_type": 15, "llama.rope.freq_base": 10000.0005}), gguf()),
        (gguf(**{"llama.attention.head_count_kv": array("I", [8, 8])}), folder()),
        (gguf(**{"llama.x": array("f", [1.0, 2.0])}), gguf(**{"llama.x": array("f", [1.0, 2.0])})),
    ],
)  # fmt: skip
def test_models_that_agree(candidate: ModelParts, reference: ModelParts) -> None:
    assert severities(candidate, reference) == {}


@pytest.mark.parametrize(
    ("candidate", "reference", "rule", "severity"),
    [
        (gguf(**{"general.architecture": "qwen2"}), gguf(), "computation", "high"),
        (gguf(**{"llama.rope.freq_base": 500000.0}), gguf(), "computation", "high"),
        (gguf(**{"llama.context_length": 8192}), gguf(), "computation", "medium"),
        (gguf(**{"llama.rope.freq_base": 500000.0}), folder(), "computation", "high"),
        (gguf(**{"llama.attention.head_count_kv": array("I", [8, 4])}), folder(), "computation", "high"),
        (folder(**{"config.json:rms_norm_eps": 0.1}), folder(), "computation", "high"),
        (folder(**{"config.json:rms_norm_eps": 0.1}), gguf(), "computation", "high"),
        (gguf(), gguf(**{"llama.logit_scale": 2.0}), "missing", "low"),
        (gguf(**{"llama.logit_scale": 2.0}), gguf(), "added", "low"),
        (gguf(**{"general.sampling.temp": 2.0}), gguf(), "added", "medium"),
        (gguf(**{"tokenizer.ggml.add_bos_token": False}), gguf(), "text-handling", "high"),
        (gguf(**{"general.name": "Other"}), gguf(), "claims", "info"),
        (gguf(**{"general.sampling.temp": 2.0}), gguf(**{"general.sampling.temp": 1.0}), "drawing", "medium"),
    ],
)  # fmt: skip
def test_each_rule_fires(candidate: ModelParts, reference: ModelParts, rule: str, severity: str) -> None:
    assert severities(candidate, reference).get(f"settings-differ/{rule}") == severity


def test_models_without_settings_are_not_compared() -> None:
    assert compare_settings(ModelParts("m", ""), gguf()) == []
