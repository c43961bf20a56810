"""Sizes of a decoder-only model as the config.json of transformers tells them.

A key that a file leaves out has the default of its model type in transformers 5: `test_model_sizes.py`
holds every default here against the installed library.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qaudit.checkpoints.rope_settings import CONFIG, RopeSettings, read_rope
from qaudit.errors import InputError, LimitExceeded, MalformedFile

MAX_SIZE = 1 << 24
MAX_LAYERS = 1000
MAX_HEADS = 1 << 16
MAX_EXPERTS = 4096
MAX_EXPERTS_OF_ALL_LAYERS = 1 << 17
# other types have that key and do not heed it
ATTENTION_BIAS = ("llama", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text")

# text_config of a Gemma 3 with images holds only what differs from these
_GEMMA3 = {
    "vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True, "sliding_window": 4096,
}  # fmt: skip
_GEMMA = {"head_dim": 256, "rms_norm_eps": 1e-6, "tie_word_embeddings": True}
_RMS = {"rms_norm_eps": 1e-6}
DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": _RMS,
    "mistral": {"num_key_value_heads": 8, **_RMS},
    "mixtral": {
        "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "num_local_experts": 8, "num_experts_per_tok": 2,
    },
    "qwen2": {"num_key_value_heads": 32, **_RMS},
    "qwen2_moe": {
        "num_key_value_heads": 16, "qkv_bias": True, "num_experts": 60, "num_experts_per_tok": 4,
        "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632, **_RMS,
    },
    "qwen3": {"num_key_value_heads": 32, "head_dim": 128, **_RMS},
    "qwen3_moe": {
        "num_key_value_heads": 4, "num_experts": 128, "num_experts_per_tok": 8,
        "moe_intermediate_size": 768, **_RMS,
    },
    "gemma": {"num_key_value_heads": 16, **_GEMMA},
    "gemma2": {
        "num_key_value_heads": 4, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
        "sliding_window": 4096, **_GEMMA,
    },
    "gemma3_text": _GEMMA3,
    "phi3": {"rms_norm_eps": 1e-5},
    "phi": {"layer_norm_eps": 1e-5},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """What decides the parameters of a model and how they are used.

    Attributes:
        model_type: as in config.json; "gemma3_text" for the text part of a Gemma 3 with images.
        nested: the language model is a part of a larger one, so that names begin with
            `model.language_model.`.
        tied: the output matrix is the embedding matrix.
        qkv_bias, output_bias, mlp_bias: which linear layers have biases.
        experts, expert_feed_forward, experts_used: 0 without experts.
        shared_feed_forward: of the expert that is always used; 0 without one.
        softcaps: of attention and of the output, None for none.
        sliding_window: of local layers; None where no GGUF tells it.
    """

    model_type: str
    nested: bool
    vocabulary: int
    hidden: int
    feed_forward: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    epsilon: float
    tied: bool
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool
    experts: int
    expert_feed_forward: int
    experts_used: int
    shared_feed_forward: int
    softcaps: tuple[float | None, float | None]
    sliding_window: int | None
    rope: RopeSettings


def read_sizes(config: Mapping[str, Any]) -> ModelSizes:
    """Read config.json.

    Raises:
        InputError: a model type whose GGUF layout is not known here, or a variant of it.
        MalformedFile: a size is missing or out of bounds.
    """
    model_type, nested = config.get("model_type"), False
    if model_type == "gemma3" and isinstance(config.get("text_config"), Mapping):
        # the outer object ties the matrices of the whole model
        tied = {k: config[k] for k in ("tie_word_embeddings",) if k in config}
        config, model_type, nested = {**config["text_config"], **tied}, "gemma3_text", True
    if not isinstance(model_type, str) or model_type not in DEFAULTS:
        raise InputError(
            f"{CONFIG}: model type {str(model_type)[:40]!r} is not known beside a GGUF; "
            f"known: {', '.join(DEFAULTS)}; give the reference as a GGUF too"
        )
    given = _Config(config, DEFAULTS[model_type])
    _refuse_variants(given)
    hidden, heads = given.count("hidden_size"), given.count("num_attention_heads", MAX_HEADS)
    experts = _experts(given, model_type)
    attention_bias = model_type in ATTENTION_BIAS and given.flag("attention_bias")
    qkv_bias = model_type == "qwen2_moe" and given.flag("qkv_bias")
    shared = given.count("shared_expert_intermediate_size") if model_type == "qwen2_moe" else 0
    head_size = given.count("head_dim", default=max(1, hidden // heads))
    return ModelSizes(
        model_type=model_type,
        nested=nested,
        vocabulary=given.count("vocab_size"),
        hidden=hidden,
        feed_forward=given.count("intermediate_size"),
        layers=given.count("num_hidden_layers", MAX_LAYERS),
        heads=heads,
        kv_heads=given.count("num_key_value_heads", MAX_HEADS, default=heads),
        head_size=head_size,
        epsilon=given.number("layer_norm_eps" if model_type == "phi" else "rms_norm_eps"),
        tied=given.flag("tie_word_embeddings"),
        qkv_bias=attention_bias or model_type in ("qwen2", "phi") or qkv_bias,
        output_bias=attention_bias or model_type == "phi",
        mlp_bias=model_type == "phi" or (model_type == "llama" and given.flag("mlp_bias")),
        experts=experts,
        expert_feed_forward=_expert_size(given, model_type) if experts else 0,
        experts_used=given.count("num_experts_per_tok", MAX_EXPERTS) if experts else 0,
        shared_feed_forward=shared,
        softcaps=(given.optional("attn_logit_softcapping"), given.optional("final_logit_softcapping")),
        sliding_window=given.count("sliding_window") if model_type in ("gemma2", "gemma3_text") else None,
        rope=read_rope(config, model_type, head_size),
    )


def _experts(given: "_Config", model_type: str) -> int:
    if model_type not in ("mixtral", "qwen2_moe", "qwen3_moe"):
        return 0
    # transformers writes one of these names and reads both
    names = ("num_local_experts", "num_experts")
    name = next((n for n in names if given.has(n)), names[model_type != "mixtral"])
    count = given.count(name, MAX_EXPERTS)
    if count * given.count("num_hidden_layers", MAX_LAYERS) > MAX_EXPERTS_OF_ALL_LAYERS:
        raise LimitExceeded(CONFIG, f"{count} experts a layer are over the cap", "is it the right file?")
    return count


def _expert_size(given: "_Config", model_type: str) -> int:
    return given.count("intermediate_size" if model_type == "mixtral" else "moe_intermediate_size")


def _refuse_variants(given: "_Config") -> None:
    """Refuse what changes the parameters in a way that no GGUF of the architecture has."""
    if given.flag("qk_layernorm"):
        raise InputError(f"{CONFIG}: qk_layernorm has no place in a GGUF; give the reference as a GGUF too")
    if given.get("decoder_sparse_step") not in (None, 1) or given.get("mlp_only_layers"):
        raise InputError(
            f"{CONFIG}: layers with and without experts are not read here; give the reference as a GGUF too"
        )


class _Config:
    """Checked access to one JSON object, with the defaults of its model type."""

    def __init__(self, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._values = values
        self._defaults = defaults

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    def get(self, name: str) -> object:
        # a null means the default, as in transformers
        return self._values[name] if self.has(name) else self._defaults.get(name)

    def count(self, name: str, limit: int = MAX_SIZE, default: int | None = None) -> int:
        value = self._values[name] if self.has(name) else self._defaults.get(name, default)
        # null is a value of its own for these two: as many as heads, hidden size divided by heads
        if name in self._values and self._values[name] is None and default is not None:
            value = default
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
            raise MalformedFile(CONFIG, f"{name} is {value!r:.40}, not a whole number from 1 to {limit}")
        return value

    def number(self, name: str) -> float:
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
            raise MalformedFile(CONFIG, f"{name} is {value!r:.40}, not a number between 0 and 1")
        return float(value)

    def optional(self, name: str) -> float | None:
        # here a null is meant: no such limit
        value = self._values[name] if name in self._values else self._defaults.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < MAX_SIZE:
            raise MalformedFile(CONFIG, f"{name} is {value!r:.40}, not a positive number")
        return float(value)

    def flag(self, name: str) -> bool:
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise MalformedFile(CONFIG, f"{name} is {value!r:.40}, not true or false")
        return bool(value)
