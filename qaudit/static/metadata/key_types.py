"""Which type, and which length, each known key of a GGUF must have; rules on keys that differ.

Sources: gguf.md, `gguf-py/gguf/constants.py` and how llama.cpp reads each key. A loader that casts an
array's bytes without asking for its type reads past its end, so these are graver than the rest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qaudit.static.gguf.walk import (
    ARRAY,
    BOOL,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    STRING,
    U8,
    U16,
    U32,
    U64,
    GgufWalk,
    KvPair,
    type_name,
)
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[GgufWalk] = RuleBook("metadata-type", "Types and lengths of known keys.")

WHOLE = frozenset({U8, I8, U16, I16, U32, I32, U64, I64})
REAL = frozenset({F32, F64})
_SIZES = {U8: 1, I8: 1, U16: 2, I16: 2, U32: 4, I32: 4, F32: 4, BOOL: 1, U64: 8, I64: 8, F64: 8}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a key must be.

    Attributes:
        type: the one that every loader takes.
        element: of an array.
        count: elements, where the loader counts on it.
        unchecked: loaders read the bytes without asking.
        also: types that some writers give and most loaders take.
    """

    type: int
    element: int | None = None
    count: int | None = None
    unchecked: bool = False
    also: frozenset[int] = frozenset()


_TEXT = Wanted(STRING)
_TEXTS = Wanted(ARRAY, STRING)
_NUMBER = Wanted(U32, also=WHOLE)
_FLAG = Wanted(BOOL)
_FRACTION = Wanted(F32, also=REAL)
_EXACT_KEYS: Mapping[str, Wanted] = {
    "general.architecture": _TEXT,
    "general.alignment": Wanted(U32),
    "general.quantization_version": _NUMBER,
    "general.file_type": _NUMBER,
    "general.tags": _TEXTS,
    "general.languages": _TEXTS,
    "general.base_model.count": _NUMBER,
    "general.dataset.count": _NUMBER,
    "tokenizer.ggml.model": _TEXT,
    "tokenizer.ggml.pre": _TEXT,
    "tokenizer.ggml.tokens": _TEXTS,
    "tokenizer.ggml.merges": _TEXTS,
    "tokenizer.ggml.token_type": Wanted(ARRAY, I32, unchecked=True),
    "tokenizer.ggml.scores": Wanted(ARRAY, F32, unchecked=True),
    "tokenizer.ggml.added_tokens": _TEXTS,
    "tokenizer.ggml.precompiled_charsmap": Wanted(ARRAY, U8, also=frozenset({I8})),
    "tokenizer.ggml.add_bos_token": _FLAG,
    "tokenizer.ggml.add_eos_token": _FLAG,
    "tokenizer.ggml.add_sep_token": _FLAG,
    "tokenizer.ggml.add_space_prefix": _FLAG,
    "tokenizer.ggml.remove_extra_whitespaces": _FLAG,
    "tokenizer.chat_template": Wanted(STRING),
    "tokenizer.chat_templates": _TEXTS,
    "tokenizer.huggingface.json": _TEXT,
    "adapter.type": _TEXT,
    "adapter.lora.alpha": _FRACTION,
    "clip.has_vision_encoder": _FLAG,
    "clip.has_audio_encoder": _FLAG,
    "clip.has_llava_projector": _FLAG,
    "clip.projector_type": _TEXT,
    "clip.vision.image_mean": Wanted(ARRAY, F32, 3, unchecked=True),
    "clip.vision.image_std": Wanted(ARRAY, F32, 3, unchecked=True),
    "clip.vision.image_grid_pinpoints": Wanted(ARRAY, I32, unchecked=True),
    "clip.vision.feature_layer": Wanted(ARRAY, I32, unchecked=True),
    "clip.vision.wa_layer_indexes": Wanted(ARRAY, I32, unchecked=True),
    "clip.vision.is_deepstack_layers": Wanted(ARRAY, BOOL, unchecked=True),
    "quantize.imatrix.file": _TEXT,
    "quantize.imatrix.dataset": _TEXT,
    "quantize.imatrix.entries_count": _NUMBER,
    "quantize.imatrix.chunks_count": _NUMBER,
    "imatrix.datasets": _TEXTS,
    "imatrix.chunk_count": _NUMBER,
    "imatrix.chunk_size": _NUMBER,
}
_GENERAL_TEXTS = frozenset(
    {"name", "author", "version", "organization", "finetune", "basename", "description", "quantized_by",
     "size_label", "license", "license.name", "license.link", "url", "doi", "uuid", "repo_url", "type",
     "source.url", "source.doi", "source.uuid", "source.repo_url", "source.huggingface.repository"}
)  # fmt: skip
# keys under the architecture's name
_ARCHITECTURE_KEYS: Mapping[str, Wanted] = {
    **dict.fromkeys(
        (
            "vocab_size", "context_length", "embedding_length", "block_count", "expert_count",
            "expert_used_count", "expert_shared_count", "leading_dense_block_count",
            "expert_feed_forward_length", "attention.key_length", "attention.value_length",
            "rope.dimension_count", "rope.scaling.original_context_length", "expert_group_count",
            "attention.q_lora_rank", "attention.kv_lora_rank", "ssm.conv_kernel", "ssm.inner_size",
            "ssm.state_size", "ssm.time_step_rank", "nextn_predict_layers", "pooling_type",
        ),
        _NUMBER,
    ),
    **dict.fromkeys(
        (
            "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "attention.scale",
            "rope.freq_base", "rope.scaling.factor", "rope.scaling.attn_factor", "rope.scale_linear",
            "attn_logit_softcapping", "final_logit_softcapping", "logit_scale", "embedding_scale",
            "residual_scale", "expert_weights_scale", "attention.max_alibi_bias", "attention.clamp_kqv",
        ),
        _FRACTION,
    ),
    **dict.fromkeys(
        ("use_parallel_residual", "attention.causal", "rope.scaling.finetuned", "expert_weights_norm"), _FLAG
    ),
    **dict.fromkeys(("rope.scaling.type", "tensor_data_layout"), _TEXT),
}  # fmt: skip
# one number, or one for each block
_PER_BLOCK = frozenset({"attention.head_count", "attention.head_count_kv", "feed_forward_length"})


def wanted(key: str, architecture: str) -> Wanted | None:
    """Return what a key must be; None for keys of which nothing is known."""
    found = _EXACT_KEYS.get(key)
    if found is not None:
        return found
    if key.startswith("tokenizer.ggml.") and key.endswith("_token_id"):
        return _NUMBER
    if key.startswith("tokenizer.chat_template."):
        return _TEXT
    if key.startswith("general."):
        rest = key.removeprefix("general.")
        if rest in _GENERAL_TEXTS or (rest.startswith(("base_model.", "dataset.")) and rest.count(".") == 2):
            return _TEXT
        return None
    if architecture and key.startswith(f"{architecture}."):
        return _ARCHITECTURE_KEYS.get(key[len(architecture) + 1 :])
    return None


def _per_block(walk: GgufWalk) -> Iterator[KvPair]:
    prefix = f"{walk.architecture}."
    for pair in walk.pairs:
        if pair.type == ARRAY and pair.name.startswith(prefix) and pair.name[len(prefix) :] in _PER_BLOCK:
            yield pair


@BOOK.rule(
    "read-past-end",
    "critical",
    title="an array is of another type or length than loaders count on",
    why="Loaders take the array's bytes as the type that the key should have, without asking: elements that "
    "are narrower or fewer are read past their end.",
    remedy="do not load it; convert the original model again",
    sources=("llama.cpp #26690", "llama.cpp #24142", "llama.cpp #24976", "llama.cpp #25014"),
)
def _past_end(walk: GgufWalk) -> Iterator[Hit]:
    for pair, want in _differing(walk):
        if want.unchecked and _reads_past(pair, want):
            yield Hit(walk.place(pair), f"{_told(pair)}, loaders read {_asked(want)}")


@BOOK.rule(
    "wrong-type",
    "medium",
    title="a key has another type than it must have",
    why="llama.cpp refuses the file or reads something else than the writer meant; loaders differ.",
    remedy="convert the original model again",
    sources=("https://github.com/ggml-org/ggml/blob/master/docs/gguf.md",),
)
def _wrong(walk: GgufWalk) -> Iterator[Hit]:
    for pair, want in _differing(walk):
        if not (want.unchecked and _reads_past(pair, want)):
            # a whole number of another width is a writer's habit
            loose = want.type != ARRAY and pair.type in want.also
            yield Hit(walk.place(pair), f"{_told(pair)}, expected {_asked(want)}", "info" if loose else None)


@BOOK.rule(
    "per-block-length",
    "high",
    title="a list with one number for each block has another length",
    why="Loaders read the list by the number of blocks.",
    remedy="do not load it; convert the original model again",
    sources=("llama.cpp #25821", "llama.cpp #26051"),
)
def _block_lists(walk: GgufWalk) -> Iterator[Hit]:
    blocks = walk.number(f"{walk.architecture}.block_count")
    for pair in _per_block(walk):
        if pair.element_type not in WHOLE:
            yield Hit(walk.place(pair), f"{_told(pair)}, expected whole numbers")
        elif blocks is not None and pair.count != blocks:
            yield Hit(walk.place(pair), f"{pair.count} numbers for {blocks} blocks")


@BOOK.rule(
    "odd-pinpoints",
    "critical",
    title="image_grid_pinpoints are not pairs",
    why="The list is read two numbers at a time, the last beyond its end.",
    remedy="do not load it; convert the original model again",
    sources=("llama.cpp #25014",),
)
def _pinpoints(walk: GgufWalk) -> Iterator[Hit]:
    pair = walk.pair("clip.vision.image_grid_pinpoints")
    if pair is not None and pair.type == ARRAY and pair.count % 2:
        yield Hit(walk.place(pair), f"{pair.count} numbers")


def _differing(walk: GgufWalk) -> Iterator[tuple[KvPair, Wanted]]:
    architecture = walk.architecture
    for pair in walk.pairs:
        want = wanted(pair.name, architecture)
        if want is None:
            continue
        element = want.type == ARRAY and pair.element_type not in (want.element, *want.also)
        length = want.count is not None and pair.count != want.count
        if pair.type != want.type or element or length:
            yield pair, want


def _reads_past(pair: KvPair, want: Wanted) -> bool:
    if pair.type != ARRAY or pair.element_type not in _SIZES or want.element is None:
        return True
    needed = _SIZES[want.element] * (pair.count if want.count is None else want.count)
    return _SIZES[pair.element_type] * pair.count < needed


def _told(pair: KvPair) -> str:
    return f"{pair.type_name} of {pair.count}" if pair.type == ARRAY else pair.type_name


def _asked(want: Wanted) -> str:
    if want.type != ARRAY or want.element is None:
        return type_name(want.type)
    told = f"array of {type_name(want.element)}"
    return told if want.count is None else f"{told} of {want.count}"
