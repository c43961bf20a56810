import math
from typing import Any

import numpy as np
import pytest

from qaudit.checkpoints.rope_settings import RopeSettings, llama3_factors, read_rope
from qaudit.errors import InputError, MalformedFile

LLAMA3 = {
    "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip


def test_old_and_new_files_say_the_same() -> None:
    old = {"rope_theta": 500000.0, "rope_scaling": LLAMA3, "max_position_embeddings": 131072}
    new = {"rope_parameters": {"rope_theta": 500000.0, **LLAMA3}, "max_position_embeddings": 131072}
    assert read_rope(old, "llama", 64) == read_rope(new, "llama", 64)
    assert read_rope(old, "llama", 64).kind == "llama3"
    assert read_rope({"rope_theta": 5e5, "rope_scaling": None}, "qwen2", 64).theta == 5e5
    assert read_rope({}, "qwen2", 64) == RopeSettings("default", 1e4, None, 1.0, 64, 0, 0.0, 0.0, (), ())


def test_gemma_3_has_two_bases() -> None:
    old = {
        "rope_theta": 1e6,
        "rope_local_base_freq": 2e4,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    }
    rope = read_rope(old, "gemma3_text", 256)
    assert (rope.theta, rope.local_theta, rope.kind, rope.factor) == (1e6, 2e4, "linear", 8.0)
    full = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}
    new = {
        "rope_parameters": {
            "full_attention": full,
            "sliding_attention": {"rope_theta": 2e4, "rope_type": "default"},
        }
    }
    assert read_rope(new, "gemma3_text", 256) == rope
    assert read_rope({}, "gemma3_text", 256).local_theta == 1e4


def test_phi_rotates_a_part() -> None:
    assert read_rope({"partial_rotary_factor": 0.4}, "phi", 80).dimensions == 32
    assert read_rope({}, "phi", 80).dimensions == 40
    # transformers does not heed it elsewhere
    assert read_rope({"partial_rotary_factor": 0.4}, "llama", 80).dimensions == 80


def test_long_phi_3() -> None:
    config = {
        "rope_scaling": {"type": "su", "long_factor": [1, 2.5], "short_factor": [1.0, 1.0]},
        "original_max_position_embeddings": 4096,
        "max_position_embeddings": 131072,
    }
    rope = read_rope(config, "phi3", 4)
    assert (rope.kind, rope.original_context) == ("longrope", 4096)
    assert (rope.long_factors, rope.short_factors) == ((1.0, 2.5), (1.0, 1.0))


@pytest.mark.parametrize("original", [64, 8192])
def test_llama_3_factors_are_those_of_transformers(original: int) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    parameters = {**LLAMA3, "rope_theta": 500000.0, "original_max_position_embeddings": original}
    config = transformers.LlamaConfig(hidden_size=512, num_attention_heads=4, rope_parameters=parameters)
    scaled, _ = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = 500000.0 ** -(np.arange(0, 128, 2) / 128)
    factors = llama3_factors(read_rope(config.to_dict(), "llama", 128))
    np.testing.assert_allclose(plain / scaled.numpy(), factors, rtol=1e-5)
    assert factors.min() == 1
    assert factors.max() == 32
    assert ((factors > 1) & (factors < 32)).any()


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope_type": "yarn", "factor": 4.0},
        {"rope_type": "yarn", "factor": 0.5},
        {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.25},
        {"rope_type": "yarn", "factor": 40.0, "mscale": 1.0, "mscale_all_dim": 0.707},
        {"rope_type": "yarn", "factor": 40.0, "mscale": 1.0},
        {"rope_type": "longrope"},
        {"rope_type": "longrope", "factor": 2.0},
        {"rope_type": "longrope", "attention_factor": 1.1},
        {"rope_type": "linear", "factor": 4.0, "attention_factor": 1.1},
    ],
    ids=str,
)
def test_attention_factors_are_those_of_transformers(scaling: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    kind = scaling["rope_type"]
    parameters: dict[str, Any] = {**scaling, "rope_theta": 10000.0}
    if kind == "longrope":
        parameters |= {"long_factor": [2.0] * 32, "short_factor": [1.0] * 32}
    if kind != "linear":
        parameters["original_max_position_embeddings"] = 4096
    config = transformers.LlamaConfig(
        hidden_size=256, num_attention_heads=4, max_position_embeddings=131072, rope_parameters=parameters
    )
    _, expected = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
    assert read_rope(config.to_dict(), "llama", 64).attention_factor == pytest.approx(expected, rel=1e-12)


def test_an_attention_factor_that_is_none() -> None:
    scaling = {"type": "yarn", "factor": 4.0, "attention_factor": "1.0"}
    with pytest.raises(MalformedFile, match=r"attention_factor is '1\.0', not a positive number"):
        read_rope({"rope_scaling": scaling, "max_position_embeddings": 64}, "llama", 64)


def test_factors_need_a_band() -> None:
    rope = read_rope({"rope_scaling": {**LLAMA3, "low_freq_factor": 4.0}}, "llama", 64)
    with pytest.raises(MalformedFile, match="low_freq_factor is not below"):
        llama3_factors(rope)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
            "rope type 'dynamic' is not known beside a GGUF",
        ),
        ({"rope_scaling": {"type": ["linear"]}}, "rope type .* is not known"),
        ({"rope_scaling": {"type": "linear"}}, "factor is None, not a positive number"),
        ({"rope_scaling": [1]}, "rope_scaling is not an object"),
        ({"rope_theta": math.inf}, "rope_theta is inf"),
        ({"rope_theta": "1e4"}, "rope_theta is '1e4'"),
        ({"rope_theta": 10**400}, "rope_theta is 1000"),
        (
            {"rope_scaling": {"type": "longrope", "long_factor": [1.0] * 5000}},
            "long_factor is not a list of 1 to",
        ),
        ({"rope_scaling": {"type": "longrope", "long_factor": [True]}}, "long_factor is True"),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, "original_max_position_embeddings is None"),
    ],
)
def test_settings_that_are_none(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rope(config, "llama", 64)


def test_a_part_larger_than_all() -> None:
    with pytest.raises(MalformedFile, match="partial_rotary_factor is 2"):
        read_rope({"partial_rotary_factor": 2.0}, "phi", 64)
