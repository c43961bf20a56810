from pathlib import Path
from typing import Any

import pytest
from tensor_folders import CONFIG, awq, gptq, llama, loud, modules_of, quiet

from qaudit.static.configs.size_rules import BOOK, SizeCase


def found(tmp_path: Path, changes: dict[str, Any], tensors: Any = None) -> dict[str, str]:
    modules = modules_of(tmp_path, tensors) if tensors else {}
    return loud(BOOK.findings(SizeCase("config.json", {**CONFIG, **changes}, "", modules)))


def test_right_sizes(tmp_path: Path) -> None:
    assert found(tmp_path, {}, llama()) == {}
    assert found(tmp_path, {"num_hidden_layers": 1.0, "rms_norm_eps": None, "rope_theta": 1e4}, llama()) == {}
    assert found(tmp_path, {"eos_token_id": [1, 2], "layer_types": ["full_attention"]}) == {}


@pytest.mark.parametrize(
    ("changes", "rule", "severity"),
    [
        ({"num_hidden_layers": 1 << 40}, "insane", "high"), ({"vocab_size": -1}, "insane", "high"),
        ({"hidden_size": 0}, "insane", "high"), ({"intermediate_size": "32"}, "insane", "medium"),
        ({"num_key_value_heads": True}, "insane", "medium"), ({"num_experts_per_tok": 1 << 20}, "insane", "high"),
        ({"num_attention_heads": 3, "num_key_value_heads": 3}, "heads", "medium"),
        ({"num_attention_heads": 4, "num_key_value_heads": 3}, "heads", "medium"),
        ({"rms_norm_eps": 0}, "position", "medium"), ({"rms_norm_eps": float("nan")}, "position", "medium"),
        ({"rms_norm_eps": 3.0}, "position", "medium"), ({"rope_theta": -1}, "position", "medium"),
        ({"rope_theta": float("inf")}, "position", "medium"), ({"rope_scaling": {"factor": 0}}, "position", "medium"),
        ({"rope_parameters": {"rope_theta": "x"}}, "position", "medium"),
        ({"layer_types": ["a", "b"]}, "layer-list", "medium"), ({"eos_token_id": [1, 99]}, "token-id", "low"),
    ],
)  # fmt: skip
def test_sizes_alone(tmp_path: Path, changes: dict[str, Any], rule: str, severity: str) -> None:
    assert found(tmp_path, changes) == {f"size/{rule}": severity}


def test_zero_experts_and_a_head_size_of_its_own_are_fine(tmp_path: Path) -> None:
    assert (
        found(tmp_path, {"num_experts": 0, "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 8})
        == {}
    )


@pytest.mark.parametrize(
    ("changes", "rule", "severity"),
    [
        ({"num_hidden_layers": 2}, "layers", "high"), ({"vocab_size": 33}, "embeddings", "high"),
        ({"num_key_value_heads": 2}, "projections", "high"), ({"tie_word_embeddings": False}, "head-missing", "medium"),
    ],
)  # fmt: skip
def test_sizes_of_the_weights(tmp_path: Path, changes: dict[str, Any], rule: str, severity: str) -> None:
    assert found(tmp_path, changes, llama()) == {f"size/{rule}": severity}


def test_the_width_of_the_weights(tmp_path: Path) -> None:
    rules = found(tmp_path, {"hidden_size": 32}, llama())
    assert rules["size/embeddings"] == "high"
    assert rules["size/projections"] == "high"


def test_layers_beyond(tmp_path: Path) -> None:
    more = {**llama(), "model.layers.1.input_layernorm.weight": ("F16", (16,), None)}
    assert found(tmp_path, {}, more) == {"size/layers": "medium"}
    assert found(tmp_path, {"num_nextn_predict_layers": 1}, more) == {}


def test_more_rows_than_tokens_are_padding(tmp_path: Path) -> None:
    modules = modules_of(tmp_path, llama())
    findings = BOOK.findings(SizeCase("config.json", {**CONFIG, "vocab_size": 30}, "", modules))
    assert quiet(findings) == {"size/embeddings"}
    assert loud(findings) == {}


@pytest.mark.parametrize("make", [awq, gptq])
def test_packed_projections_are_unpacked_first(tmp_path: Path, make: Any) -> None:
    config = {**CONFIG, "hidden_size": 32, "head_dim": 16}
    good = make("model.layers.0.self_attn.q_proj", 32, 32)
    modules = modules_of(tmp_path, good)
    assert loud(BOOK.findings(SizeCase("config.json", config, "", modules))) == {}
    modules = modules_of(tmp_path, make("model.layers.0.self_attn.q_proj", 32, 64))
    assert loud(BOOK.findings(SizeCase("config.json", config, "", modules))) == {"size/projections": "high"}


def test_other_architectures_are_left_alone(tmp_path: Path) -> None:
    assert found(tmp_path, {"model_type": "qwen3_next", "num_key_value_heads": 2}, llama()) == {}
