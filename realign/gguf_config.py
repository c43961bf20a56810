"""What a config.json would say of a GGUF, read from its metadata, for models without a folder."""

from typing import Any

import numpy as np

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.gguf_numbers import real_number, whole_number
from qaudit.checkpoints.model_sizes import read_sizes
from qaudit.checkpoints.same_settings import FREQUENCIES, require_same_settings
from qaudit.errors import Incomparable, InputError

# of general.architecture; llama.cpp has one for Llama and Mistral, which compute alike
MODEL_TYPES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
EMBEDDINGS, OUTPUT = "token_embd", "output"
LINEAR, YARN = "linear", "yarn"
# a GGUF of a Llama 3.1 or later holds factors computed from these; they cannot be read back from it
LLAMA3_FACTORS = (8.0, 32.0)
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
MEND = "give the reference or the checkpoint as a folder in Hugging Face layout"


def config_of(gguf: GgufCheckpoint) -> dict[str, Any]:
    """Return the keys of a config.json with which transformers computes what llama.cpp does.

    Raises:
        InputError: an architecture or a scaling of positions that is not known here.
        MalformedFile: the metadata lack a size.
    """
    held = frozenset(gguf.names())
    if gguf.architecture not in MODEL_TYPES:
        raise InputError(
            f"{gguf.path}: architecture {gguf.architecture[:40]!a} is not realigned without a folder; "
            f"known: {', '.join(MODEL_TYPES)}; {MEND}"
        )
    if EMBEDDINGS not in held:
        raise InputError(f"{gguf.path}: lacks {EMBEDDINGS}; is it a language model?")
    heads = whole_number(gguf, "attention.head_count")
    hidden = whole_number(gguf, "embedding_length")
    context = whole_number(gguf, "context_length")
    config: dict[str, Any] = {
        "model_type": MODEL_TYPES[gguf.architecture],
        "vocab_size": gguf.shape(EMBEDDINGS)[0],
        "hidden_size": hidden,
        "intermediate_size": whole_number(gguf, "feed_forward_length"),
        "num_hidden_layers": whole_number(gguf, "block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": whole_number(gguf, "attention.head_count_kv", heads),
        "head_dim": whole_number(gguf, "attention.key_length", max(1, hidden // heads)),
        "max_position_embeddings": context,
        "rms_norm_eps": _decimal(real_number(gguf, "attention.layer_norm_rms_epsilon")),
        "tie_word_embeddings": OUTPUT not in held,
        "hidden_act": "silu",
    }
    if "blk.0.attn_q.bias" in held and gguf.architecture != "qwen2":
        config["attention_bias"] = True
    if "blk.0.ffn_up.bias" in held:
        config["mlp_bias"] = True
    return _with_positions(gguf, config)


def _decimal(stored: float) -> float:
    # metadata are float32: 1e-5 became 9.99999975e-06 and is meant
    return float(str(np.float32(stored)))


def _with_positions(gguf: GgufCheckpoint, config: dict[str, Any]) -> dict[str, Any]:
    theta = _decimal(real_number(gguf, "rope.freq_base", 10000.0))
    problem = ""
    for rope in _scalings(gguf, config["max_position_embeddings"]):
        tried = {**config, "rope_parameters": {"rope_theta": theta, **rope}}
        try:
            require_same_settings(gguf, read_sizes(tried))
        except Incomparable as error:
            problem = str(error)
            continue
        return tried
    raise InputError(f"{problem}; {MEND}")


def _scalings(gguf: GgufCheckpoint, context: int) -> list[dict[str, Any]]:
    """Return the scalings of positions that the metadata may mean, for `require_same_settings` to judge."""
    kind = gguf.metadata.get(f"{gguf.architecture}.rope.scaling.type")
    factor = real_number(gguf, "rope.scaling.factor", real_number(gguf, "rope.scale_linear", 1.0))
    if FREQUENCIES in gguf.names():
        return [{"rope_type": "llama3", "factor": each, **LLAMA3} for each in LLAMA3_FACTORS]
    if kind == YARN:
        original = whole_number(gguf, "rope.scaling.original_context_length", context)
        return [{"rope_type": YARN, "factor": factor, "original_max_position_embeddings": original}]
    if factor not in (0.0, 1.0):
        return [{"rope_type": LINEAR, "factor": factor}]
    return [{"rope_type": "default"}]
