from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.checkpoints.model_sizes import DEFAULTS, read_sizes
from qaudit.errors import InputError, LimitExceeded, MalformedFile

# what config.json files of every type say
SAID = {
    "vocab_size": 1000, "hidden_size": 4096, "intermediate_size": 512, "num_hidden_layers": 2,
    "num_attention_heads": 32, "sliding_window": 16, "max_position_embeddings": 64,
}  # fmt: skip
PLAIN = {"model_type": "llama", **SAID}


@pytest.mark.parametrize("model_type", DEFAULTS)
def test_what_is_left_out_is_as_in_transformers(model_type: str) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoConfig.for_model(model_type, **SAID)
    ours = read_sizes({"model_type": model_type, **SAID})
    assert ours.kv_heads == theirs.num_key_value_heads
    assert ours.head_size == (getattr(theirs, "head_dim", None) or 128)
    assert ours.epsilon == (theirs.layer_norm_eps if model_type == "phi" else theirs.rms_norm_eps)
    assert ours.tied == theirs.tie_word_embeddings
    rope = theirs.rope_parameters
    assert ours.rope.theta == rope.get("full_attention", rope)["rope_theta"]
    assert ours.rope.local_theta == rope.get("sliding_attention", {}).get("rope_theta")
    assert ours.rope.dimensions == int(ours.head_size * rope.get("partial_rotary_factor", 1.0))
    if model_type.startswith("gemma"):
        caps = (getattr(theirs, f"{n}_logit_softcapping", None) for n in ("attn", "final"))
        assert ours.softcaps == tuple(caps)
    if ours.experts:
        assert ours.experts == (getattr(theirs, "num_local_experts", None) or theirs.num_experts)
        assert ours.experts_used == theirs.num_experts_per_tok
        inner = theirs.intermediate_size if model_type == "mixtral" else theirs.moe_intermediate_size
        assert ours.expert_feed_forward == inner
    # and what transformers writes is read the same
    assert read_sizes(theirs.to_dict()) == ours


def test_the_text_part_of_gemma_3_holds_only_what_differs() -> None:
    transformers = pytest.importorskip("transformers")
    config = {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "sliding_window": 1024}}
    sizes = read_sizes(config)
    theirs = transformers.Gemma3Config(text_config={"sliding_window": 1024}).text_config
    assert (sizes.nested, sizes.model_type, sizes.sliding_window) == (True, "gemma3_text", 1024)
    assert (sizes.hidden, sizes.feed_forward, sizes.layers) == (
        theirs.hidden_size,
        theirs.intermediate_size,
        theirs.num_hidden_layers,
    )
    assert (sizes.heads, sizes.kv_heads, sizes.vocabulary, sizes.tied) == (8, 4, 262208, True)
    assert not read_sizes({**config, "tie_word_embeddings": False}).tied


def test_null_means_as_many_as_heads() -> None:
    sizes = read_sizes({**PLAIN, "model_type": "mistral", "num_key_value_heads": None, "head_dim": None})
    assert (sizes.kv_heads, sizes.head_size) == (32, 128)
    assert read_sizes({**PLAIN, "model_type": "mistral"}).kv_heads == 8


def test_biases_only_where_transformers_has_them() -> None:
    asked = {"attention_bias": True, "mlp_bias": True, "qkv_bias": True}
    found = {t: read_sizes({**PLAIN, **asked, "model_type": t}) for t in DEFAULTS}
    assert {t for t, s in found.items() if s.output_bias} == {
        "llama", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text", "phi",
    }  # fmt: skip
    assert {t for t, s in found.items() if s.mlp_bias} == {"llama", "phi"}
    assert {t for t in found if t not in ("mistral", "mixtral", "phi3")} == {
        t for t, s in found.items() if s.qkv_bias
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "hidden_size is None"),
        ({"hidden_size": 0}, "hidden_size is 0, not a whole number from 1"),
        ({"hidden_size": 1 << 60}, "hidden_size is 11529"),
        ({"hidden_size": True}, "hidden_size is True"),
        ({"hidden_size": 64.0}, "hidden_size is 64.0"),
        ({"num_hidden_layers": 1001}, "num_hidden_layers is 1001, not a whole number from 1 to 1000"),
        ({"num_attention_heads": "8"}, "num_attention_heads is '8'"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps is nan"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1, not true or false"),
        ({"attention_bias": "yes"}, "attention_bias is 'yes'"),
        ({"final_logit_softcapping": -1}, "final_logit_softcapping is -1"),
    ],
)
def test_sizes_that_are_none(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedFile, match=message):
        read_sizes({**PLAIN, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mamba"}, "model type 'mamba' is not known beside a GGUF; known: llama, "),
        ({"model_type": 3}, "model type '3' is not known"),
        ({"model_type": "gemma3"}, "model type 'gemma3' is not known"),
        ({"model_type": "phi", "qk_layernorm": True}, "qk_layernorm has no place"),
        ({"model_type": "qwen3_moe", "decoder_sparse_step": 2}, "layers with and without experts"),
        ({"model_type": "qwen2_moe", "mlp_only_layers": [1]}, "layers with and without experts"),
    ],
)
def test_models_that_are_not_known(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_sizes({**PLAIN, **change})


def test_experts_of_all_layers_are_bounded() -> None:
    with pytest.raises(LimitExceeded, match="4096 experts a layer"):
        read_sizes({**PLAIN, "model_type": "mixtral", "num_local_experts": 4096, "num_hidden_layers": 100})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = [
    *SAID,
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "head_dim",
    "text_config",
    "tie_word_embeddings",
]


@given(st.sampled_from([*DEFAULTS, "gemma3"]), st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3))
def test_anything_else_is_refused(model_type: str, change: dict[str, Any]) -> None:
    try:
        sizes = read_sizes({**PLAIN, "model_type": model_type, **change})
    except InputError:
        return
    assert 0 < sizes.hidden < 1 << 25
    assert sizes.rope.theta > 0
