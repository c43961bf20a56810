import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attacks.gguf_builder import F32, STRING, U32, GgufBuilder, Tensor

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.model_sizes import read_sizes
from qaudit.checkpoints.rope_settings import llama3_factors
from qaudit.checkpoints.same_settings import require_same_settings
from qaudit.errors import Incomparable, MalformedFile

CONFIG: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 2, "num_attention_heads": 4, "rms_norm_eps": 1e-5, "sliding_window": 16,
    "max_position_embeddings": 128,
}  # fmt: skip
STATED = {"attention.layer_norm_rms_epsilon": 1e-5, "feed_forward_length": 96}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}  # fmt: skip
LONG = {"rope_type": "longrope", "long_factor": [1.0 + i for i in range(8)], "short_factor": [1.0] * 8, "original_max_position_embeddings": 64}  # fmt: skip
# as the converter computes it: 128 positions, of which 64 were trained on
LONG_ATTENTION = math.sqrt(1 + math.log(2) / math.log(64))


def check(
    folder: Path,
    stated: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    tensors: dict[str, Any] | None = None,
    architecture: str = "llama",
) -> None:
    """Compare a GGUF that states STATED and more with a config.json of CONFIG and more."""
    kinds = {str: STRING, int: U32, float: F32}
    pairs: list[Any] = [("general.architecture", STRING, architecture)]
    for key, value in {**STATED, **(stated or {})}.items():
        if value is not None:
            pairs.append((f"{architecture}.{key}", kinds[type(value)], value))
    held = [Tensor()]
    for name, values in (tensors or {}).items():
        held.append(Tensor(f"{name}.weight", (len(values),), 0, struct.pack(f"<{len(values)}f", *values)))
    gguf = GgufCheckpoint(GgufBuilder(pairs=pairs, tensors=held).write(folder / "m.gguf"))
    require_same_settings(gguf, read_sizes({**CONFIG, **(config or {})}))


def test_what_is_not_stated_has_llama_cpps_default(tmp_path: Path) -> None:
    check(tmp_path)
    check(tmp_path, {"rope.freq_base": 10000.0, "rope.dimension_count": 16, "rope.scaling.type": "none"})
    check(tmp_path, {"rope.freq_base": 500000.0}, {"rope_theta": 500000})
    check(tmp_path, {"rope.scaling.factor": 0.0})


@pytest.mark.parametrize(
    ("stated", "config", "message"),
    [
        ({"attention.layer_norm_rms_epsilon": 1e-6}, {}, "norm epsilon 1e-06, the reference has 1e-05"),
        ({"feed_forward_length": 95}, {}, "feed-forward length 95, the reference has 96"),
        ({"rope.freq_base": 1e6}, {}, "rope theta 1000000, the reference has 10000"),
        ({}, {"rope_theta": 1e6}, "rope theta 10000, the reference has 1000000"),
        ({}, {"rope_parameters": {"rope_theta": 5e5}}, "rope theta 10000, the reference has 500000"),
        ({"rope.dimension_count": 8}, {}, "rotary dimensions 8, the reference has 16"),
        (
            {"rope.scaling.type": "linear", "rope.scaling.factor": 2.0},
            {},
            "rope scaling 'linear', the reference has 'default'",
        ),
        ({"rope.scaling.factor": 2.0}, {}, "rope scaling 'linear', the reference has 'default'"),
        ({"rope.scale_linear": 2.0}, {}, "rope scaling 'linear', the reference has 'default'"),
        ({"rope.scaling.type": "yarn", "rope.scaling.factor": 2.0}, {}, "rope scaling 'yarn'"),
        (
            {},
            {"rope_scaling": {"type": "linear", "factor": 2.0}},
            "rope scaling 'default', the reference has 'linear'",
        ),
        (
            {"rope.scaling.factor": 2.0},
            {"rope_scaling": {"type": "linear", "factor": 4.0}},
            "rope factor 2, the reference has 4",
        ),
        ({}, {"rope_scaling": LLAMA3}, "rope scaling 'default', the reference has 'llama3'"),
        ({"rope.scaling.attn_factor": 1.5}, {}, "rope attention factor 1.5, the reference has 1"),
        (
            {"rope.scaling.factor": 2.0, "rope.scaling.attn_factor": 0.5},
            {"rope_scaling": {"type": "linear", "factor": 2.0}},
            "rope attention factor 0.5, the reference has 1",
        ),
    ],
)
def test_other_numbers(tmp_path: Path, stated: dict[str, Any], config: dict[str, Any], message: str) -> None:
    with pytest.raises(Incomparable, match=message):
        check(tmp_path, stated, config)


def test_a_number_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match=r"llama\.attention\.layer_norm_rms_epsilon is None"):
        check(tmp_path, {"attention.layer_norm_rms_epsilon": None})


def test_llama_3_factors(tmp_path: Path) -> None:
    config = {"rope_scaling": LLAMA3}
    factors = llama3_factors(read_sizes({**CONFIG, **config}).rope)
    check(tmp_path, {}, config, {"rope_freqs": factors})
    for others in (factors + np.float32(0.01), factors[:4], np.full(8, np.nan)):
        with pytest.raises(Incomparable, match=r"rope_freqs is not what the reference's config\.json gives"):
            check(tmp_path, {}, config, {"rope_freqs": others})
    with pytest.raises(Incomparable, match="rope scaling 'llama3', the reference has 'default'"):
        check(tmp_path, {}, {}, {"rope_freqs": factors})


def test_yarn(tmp_path: Path) -> None:
    config = {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}}
    stated: dict[str, Any] = {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 64,
    }
    check(tmp_path, stated, config)
    with pytest.raises(Incomparable, match="original context 32, the reference has 64"):
        check(tmp_path, {**stated, "rope.scaling.original_context_length": 32}, config)
    check(tmp_path, {**stated, "rope.scaling.attn_factor": 1.0}, config)
    with pytest.raises(Incomparable, match=r"rope attention factor 0\.5693147, the reference has 1\.138629"):
        check(tmp_path, {**stated, "rope.scaling.attn_factor": 0.5}, config)


def test_yarn_with_an_attention_factor_of_its_own(tmp_path: Path) -> None:
    scaling = {
        "type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "attention_factor": 1.0,
    }
    stated: dict[str, Any] = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}
    undone = 1 / (1 + 0.1 * math.log(4))  # llama.cpp multiplies by this one's inverse in any case
    check(tmp_path, {**stated, "rope.scaling.attn_factor": undone}, {"rope_scaling": scaling})
    with pytest.raises(Incomparable, match=r"rope attention factor 1\.138629, the reference has 1; convert"):
        check(tmp_path, stated, {"rope_scaling": scaling})


def test_long_phi_3(tmp_path: Path) -> None:
    config = {"model_type": "phi3", "rope_scaling": LONG}
    tensors = {"rope_factors_long": LONG["long_factor"], "rope_factors_short": LONG["short_factor"]}
    check(tmp_path, {"rope.scaling.attn_factor": LONG_ATTENTION}, config, tensors, "phi3")
    for other in ({}, {"rope.scaling.attn_factor": 1.09}):
        with pytest.raises(Incomparable, match=r"rope attention factor 1.*, the reference has 1\.080123"):
            check(tmp_path, other, config, tensors, "phi3")
    with pytest.raises(Incomparable, match="rope_factors_short is not what"):
        check(tmp_path, {}, config, {**tensors, "rope_factors_short": LONG["long_factor"]}, "phi3")
    with pytest.raises(Incomparable, match="rope_factors_short is not what"):
        check(tmp_path, {}, config, {"rope_factors_long": LONG["long_factor"]}, "phi3")
    with pytest.raises(Incomparable, match="rope scaling 'longrope', the reference has 'default'"):
        check(tmp_path, {}, {"model_type": "phi3"}, tensors, "phi3")


def test_gemma(tmp_path: Path) -> None:
    sizes = {"rope.dimension_count": 256}
    check(
        tmp_path, {**sizes, "attn_logit_softcapping": 50.0}, {"model_type": "gemma2"}, architecture="gemma2"
    )
    with pytest.raises(Incomparable, match="final soft cap 30, the reference has 0"):
        check(
            tmp_path, sizes, {"model_type": "gemma2", "final_logit_softcapping": None}, architecture="gemma2"
        )
    with pytest.raises(Incomparable, match="sliding window 32, the reference has 16"):
        check(
            tmp_path,
            {**sizes, "attention.sliding_window": 32},
            {"model_type": "gemma2"},
            architecture="gemma2",
        )
    both = {**sizes, "rope.freq_base": 1e6}
    check(tmp_path, both, {"model_type": "gemma3_text"}, architecture="gemma3")
    with pytest.raises(Incomparable, match="local rope theta 20000, the reference has 10000"):
        check(
            tmp_path,
            {**both, "rope.freq_base_swa": 2e4},
            {"model_type": "gemma3_text"},
            architecture="gemma3",
        )


def test_experts(tmp_path: Path) -> None:
    config = {"model_type": "mixtral", "num_local_experts": 4, "rope_theta": 10000.0}
    check(tmp_path, {"expert_count": 4, "expert_used_count": 2}, config)
    with pytest.raises(Incomparable, match="experts used 1, the reference has 2"):
        check(tmp_path, {"expert_count": 4, "expert_used_count": 1}, config)
    with pytest.raises(Incomparable, match="experts 8, the reference has 4"):
        check(tmp_path, {"expert_count": 8, "expert_used_count": 2}, config)
