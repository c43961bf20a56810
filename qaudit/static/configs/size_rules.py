"""Rules over the sizes in config.json: sane in themselves, and those that the weights have."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.tensors.modules import Module
from qaudit.static.tensors.unpacked import unpacked


@dataclass(frozen=True, slots=True)
class SizeCase:
    """One config.json and the modules of the weights beside it.

    Attributes:
        config: of the text model where the file nests it.
        nested: the key under which it was nested, with a dot; or empty.
        modules: empty where there are no weights, or not all of them could be read.
    """

    place: str
    config: Mapping[str, object]
    nested: str
    modules: Mapping[str, Module]

    def whole(self, *keys: str) -> int | None:
        """Return the first of some keys that is a whole number."""
        return next((v for key in keys if type(v := self.config.get(key)) is int), None)

    def at(self, key: str) -> str:
        """Return the place of a key."""
        return f"{self.place}:{self.nested}{key}"


BOOK: RuleBook[SizeCase] = RuleBook("size", "sizes in config.json, and those of the weights")
SOURCE = "https://huggingface.co/docs/transformers/main_classes/configuration"
PUBLISHER = "compare with the publisher's config.json"
LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads")
WIDTH = ("hidden_size", "n_embd", "d_model", "dim")
_LIMITS = {
    **dict.fromkeys(LAYERS, 2000), **dict.fromkeys(WIDTH, 1 << 20), **dict.fromkeys(HEADS, 1 << 14),
    "num_key_value_heads": 1 << 14, "vocab_size": 1 << 24, "intermediate_size": 1 << 22, "head_dim": 1 << 14,
    "max_position_embeddings": 1 << 31, "num_experts": 1 << 14, "num_local_experts": 1 << 14,
    "n_routed_experts": 1 << 14, "num_experts_per_tok": 1 << 14, "moe_intermediate_size": 1 << 22,
}  # fmt: skip
_MAY_BE_ZERO = frozenset({"num_experts", "num_local_experts", "n_routed_experts", "num_experts_per_tok"})
# decoders whose tensors are laid out as Llama's
LLAMA_LIKE = frozenset({
    "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2",
    "gemma3_text", "phi3", "olmo", "olmo2", "granite", "cohere", "cohere2", "starcoder2", "stablelm",
    "deepseek_v2", "deepseek_v3", "glm", "glm4", "smollm3", "gpt_oss", "ministral", "seed_oss", "exaone4",
})  # fmt: skip
# of these, the rows of query and key are heads times their size and nothing else
_PLAIN_HEADS = frozenset(
    {"llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2"}
)
_STACK = LazyPattern(
    r"((?:model\.|language_model\.|model\.language_model\.|language_model\.model\.)layers)\.(\d+)\."
)
_EMBEDDING = LazyPattern(
    r"(?:model\.|language_model\.|model\.language_model\.|language_model\.model\.)*embed_tokens"
)
_HEAD_SIZES = LazyPattern(r".*(?:head_dim|head_size|kv_channels|d_kv|d_head|key_dim|value_dim)")
_BASES = ("rope_theta", "rotary_emb_base", "rope_local_base_freq")
_EPS = LazyPattern(r"(?:rms|layer)_?norm_eps|layer_norm_epsilon|norm_eps|norm_epsilon")


@BOOK.rule(
    "insane", "high",
    title="a size that no model has",
    why="Loaders allocate by these numbers before they look at a tensor.",
    remedy=PUBLISHER, sources=(SOURCE, "CWE-789"),
)  # fmt: skip
def insane(case: SizeCase) -> Iterator[Hit]:
    """Find sizes out of bounds, and sizes that are no whole numbers."""
    for key, most in _LIMITS.items():
        value = case.config.get(key)
        # lists, a size for each layer, and null are ways that some models have
        if value is None or isinstance(value, list | dict):
            continue
        if type(value) is not int:
            # JSON of some tools writes 32.0
            if not (isinstance(value, float) and value.is_integer() and 0 < value <= most):
                yield Hit(case.at(key), ascii(value)[:80], "medium")
        elif not (0 if key in _MAY_BE_ZERO else 1) <= value <= most:
            yield Hit(case.at(key), str(value)[:80])


@BOOK.rule(
    "heads", "medium",
    title="heads do not divide what they share",
    why="Runtimes differ in how they round, or read across the end of a head.",
    remedy=PUBLISHER, sources=(SOURCE,),
)  # fmt: skip
def heads(case: SizeCase) -> Iterator[Hit]:
    """Hold width by heads, and heads by key-value heads."""
    width, count, shared = case.whole(*WIDTH), case.whole(*HEADS), case.whole("num_key_value_heads")
    if not count or count < 0:
        return
    told = any(isinstance(key, str) and _HEAD_SIZES.fullmatch(key[:80]) for key in case.config)
    if width and not told and width % count:
        yield Hit(case.at("num_attention_heads"), f"{count} heads for a width of {width}")
    if shared and shared > 0 and count % shared:
        yield Hit(case.at("num_key_value_heads"), f"{shared} for {count} heads")


@BOOK.rule(
    "position", "medium",
    title="a setting of positions or norms that breaks the model",
    why="It changes every answer while all weights stay as they were.",
    remedy=PUBLISHER, sources=(SOURCE,),
)  # fmt: skip
def position(case: SizeCase) -> Iterator[Hit]:
    """Find rotary bases, factors and epsilons out of range."""
    for key, value in case.config.items():
        if _EPS.fullmatch(key[:80]) and value is not None and not _between(value, 0.0, 0.1):
            yield Hit(case.at(key), ascii(value)[:80])
        plain = value is not None and not isinstance(value, list | dict)
        if key in _BASES and plain and not _between(value, 1.0, 1e15):
            yield Hit(case.at(key), ascii(value)[:80])
    for key in ("rope_scaling", "rope_parameters"):
        scaling = case.config.get(key)
        for name in ("factor", "rope_theta"):
            value = scaling.get(name) if isinstance(scaling, dict) else None
            if value is not None and not isinstance(value, list) and not _between(value, 0.0, 1e15):
                yield Hit(case.at(f"{key}.{name}"), ascii(value)[:80])


@BOOK.rule(
    "layer-list", "medium",
    title="a list for each layer has another length than there are layers",
    why="Runtimes index it by the layer's number: beyond its end lies an error, or another list.",
    remedy=PUBLISHER, sources=(SOURCE,),
)  # fmt: skip
def layer_list(case: SizeCase) -> Iterator[Hit]:
    """Hold layer_types and the like against the number of layers."""
    layers = case.whole(*LAYERS)
    for key in ("layer_types", "mlp_layer_types"):
        value = case.config.get(key)
        if isinstance(value, list) and layers and len(value) != layers:
            yield Hit(case.at(key), f"{len(value)} entries for {layers} layers")


@BOOK.rule(
    "layers", "high",
    title="the weights have other layers than config.json says",
    why="Missing layers run with random weights, those beyond are left out: another model either way.",
    remedy=PUBLISHER, sources=(SOURCE,),
)  # fmt: skip
def layers(case: SizeCase) -> Iterator[Hit]:
    """Count the blocks of the main stack."""
    claimed = case.whole(*LAYERS)
    found: dict[str, set[int]] = {}
    for name in case.modules:
        match = _STACK.match(name)
        if match and len(match[2]) < 9:
            found.setdefault(match[1], set()).add(int(match[2]))
    if not claimed or not found:
        return
    stack = max(found, key=lambda name: len(found[name]))
    missing = sum(1 for layer in range(min(claimed, 4000)) if layer not in found[stack])
    if missing:
        yield Hit(case.at("num_hidden_layers"), f"{claimed}; of {stack} {missing} are not in the weights")
    # layers that predict further tokens follow the others
    further = case.whole("num_nextn_predict_layers", "num_mtp_layers", "mtp_num_hidden_layers") or 0
    more = sorted(layer for layer in found[stack] if layer >= claimed + further)
    if more:
        yield Hit(
            case.at("num_hidden_layers"), f"{claimed}; the weights have {stack}.{more[0]} too", "medium"
        )


@BOOK.rule(
    "embeddings", "high",
    title="the embeddings have other sizes than config.json says",
    why="A token beyond the last row is read from foreign memory, or the loader makes rows up.",
    remedy=PUBLISHER, sources=(SOURCE, "CWE-125"),
)  # fmt: skip
def embeddings(case: SizeCase) -> Iterator[Hit]:
    """Hold rows against the vocabulary and columns against the width."""
    rows, width = case.whole("vocab_size"), case.whole("hidden_size")
    for module in case.modules.values():
        if not _EMBEDDING.fullmatch(module.name):
            continue
        shape = unpacked(module).shape
        if shape is None or len(shape) != 2:
            continue
        if rows and shape[0] < rows:
            yield Hit(case.at("vocab_size"), f"{rows}; {module.place} has {shape[0]} rows")
        elif rows and shape[0] > rows:
            yield Hit(case.at("vocab_size"), f"{rows}; {module.place} has {shape[0]} rows", "info")
        if width and shape[1] != width and case.config.get("model_type") in LLAMA_LIKE:
            yield Hit(case.at("hidden_size"), f"{width}; {module.place} has {shape[1]} columns")


@BOOK.rule(
    "projections", "high",
    title="attention has other sizes than config.json says",
    why="Heads are cut at other places than they were trained with, or kernels read past the end of a row.",
    remedy=PUBLISHER, sources=(SOURCE, "CWE-125"),
)  # fmt: skip
def projections(case: SizeCase) -> Iterator[Hit]:
    """Hold the outputs of query and key against heads times their size, once for each."""
    if case.config.get("model_type") not in _PLAIN_HEADS:
        return
    count, width = case.whole("num_attention_heads"), case.whole("hidden_size")
    shared = case.whole("num_key_value_heads") or count
    size = case.whole("head_dim") or (width // count if width and count and count > 0 else None)
    if not count or not shared or not size or not width:
        return
    for module in case.modules.values():
        part = module.name[module.name.rfind(".") + 1 :]
        expected = {"q_proj": count * size, "k_proj": shared * size, "v_proj": shared * size}.get(part)
        shape = unpacked(module).shape if expected and "self_attn" in module.name else None
        if shape is not None and len(shape) == 2 and shape != (expected, width):
            yield Hit(module.place, f"{shape[0]}x{shape[1]}, {case.place} asks for {expected}x{width}")


@BOOK.rule(
    "head-missing", "medium",
    title="the weights have no output head though it is not tied",
    why="The loader makes one up at random, or ties it in spite of the configuration.",
    remedy=PUBLISHER, sources=(SOURCE,),
)  # fmt: skip
def head_missing(case: SizeCase) -> Iterator[Hit]:
    """Find weights with embeddings, an explicit `false`, and nothing called lm_head."""
    if case.config.get("tie_word_embeddings") is not False or case.config.get("model_type") not in LLAMA_LIKE:
        return
    embedded = any(_EMBEDDING.fullmatch(name) for name in case.modules)
    if embedded and not any(
        re.search(r"(?:^|\.)(?:lm_head|output|embed_out)$", name) for name in case.modules
    ):
        yield Hit(case.at("tie_word_embeddings"), "false, and there is no lm_head")


@BOOK.rule(
    "token-id", "low",
    title="a special token's id is beyond the vocabulary",
    why="Runtimes never meet it, or read an embedding that does not exist.",
    remedy=PUBLISHER, sources=(SOURCE,),
)  # fmt: skip
def token_id(case: SizeCase) -> Iterator[Hit]:
    """Hold ids against vocab_size."""
    rows = case.whole("vocab_size")
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        value = case.config.get(key)
        for one in value[:100] if isinstance(value, list) else [value]:
            if type(one) is int and rows and rows > 0 and one >= rows:
                yield Hit(case.at(key), f"{str(one)[:40]}, of {rows}")


def _between(value: object, low: float, high: float) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and low < value <= high
    )
