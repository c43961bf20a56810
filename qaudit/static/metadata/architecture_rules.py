"""Rules on a model's sizes as its metadata tell them, against each other, the tensors and loaders' limits."""

import math
import re
from collections.abc import Iterator

from qaudit.static.gguf.string_array import StringArray
from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.metadata.numbers import holds_model, real_number, whole_number, whole_numbers
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[GgufWalk] = RuleBook("architecture", "Sizes of a model.")

# LLAMA_MAX_LAYERS and LLAMA_MAX_EXPERTS of llama.cpp
MAX_BLOCKS = 512
MAX_EXPERTS = 512
# the longest in use is ten million; memory is set aside for all of it
MAX_CONTEXT = 1 << 27
MOST_TOLD = 8
_BLOCK = re.compile(rb"blk\.(\d{1,9})\.")
# layers of these have no heads
_WITHOUT_HEADS = ("mamba", "rwkv", "arwkv")
_EXPERTS = re.compile(rb"blk\.\d{1,9}\.ffn_(?:gate|up|down|gate_up)_exps\.weight")
_FRACTIONS = (
    "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "rope.freq_base",
    "rope.freq_base_swa", "rope.scaling.factor", "rope.scale_linear", "attn_logit_softcapping",
    "final_logit_softcapping", "logit_scale", "embedding_scale", "residual_scale", "attention.scale",
    "rope.scaling.attn_factor", "expert_weights_scale",
)  # fmt: skip
_MOST_EPSILON = 0.1


def _key(walk: GgufWalk, name: str) -> str:
    return f"{walk.architecture}.{name}"


def _place(walk: GgufWalk, name: str) -> str:
    return f"{walk.name}:{_key(walk, name)}"


def _block_numbers(walk: GgufWalk) -> set[int]:
    found = (_BLOCK.match(entry.name) for entry in walk.tensors)
    return {int(match[1]) for match in found if match}


@BOOK.rule(
    "too-many-blocks",
    "high",
    title="more blocks or experts than loaders have room for",
    why="Loaders keep a number for each block in tables of fixed length.",
    remedy="do not load it",
    sources=("llama.cpp #25821", "llama.cpp #26051"),
)
def _limits(walk: GgufWalk) -> Iterator[Hit]:
    limits = {"block_count": MAX_BLOCKS, "decoder_block_count": MAX_BLOCKS, "expert_count": MAX_EXPERTS}
    for name, most in limits.items():
        for number in whole_numbers(walk, _key(walk, name))[:1]:
            if number > most or number < 0:
                yield Hit(_place(walk, name), f"{number}, llama.cpp has room for {most}")


@BOOK.rule(
    "blocks-missing",
    "high",
    title="blocks are declared and not there",
    why="The file does not load, or loads with weights that were never set.",
    remedy="download it again; convert the original model again",
)
def _blocks_missing(walk: GgufWalk) -> Iterator[Hit]:
    declared = whole_number(walk, _key(walk, "block_count"))
    held = _block_numbers(walk)
    if declared is None or not 0 < declared <= MAX_BLOCKS or not held or not holds_model(walk):
        return
    # blocks for predicting several tokens are often left out; some models have blocks without weights
    if len(whole_numbers(walk, _key(walk, "attention.head_count"))) > 1:
        return
    needed = declared - max(0, whole_number(walk, _key(walk, "nextn_predict_layers")) or 0)
    missing = sorted(set(range(needed)) - held)
    if missing:
        told = ", ".join(map(str, missing[:MOST_TOLD]))
        yield Hit(_place(walk, "block_count"), f"{declared} blocks, {len(missing)} have no tensors: {told}")


@BOOK.rule(
    "blocks-beyond",
    "medium",
    title="tensors of blocks that are not declared",
    why="The runtime leaves them out: the model that runs is not the one whose weights a person counts, "
    "and bytes travel along that nobody uses.",
    remedy="compare block_count with the original model's",
)
def _blocks_beyond(walk: GgufWalk) -> Iterator[Hit]:
    declared = whole_number(walk, _key(walk, "block_count"))
    if declared is None or walk.architecture in ("", "clip", "t5", "t5encoder"):
        return
    beyond = sorted(number for number in _block_numbers(walk) if number >= declared)
    if beyond:
        told = ", ".join(map(str, beyond[:MOST_TOLD]))
        yield Hit(_place(walk, "block_count"), f"{declared} blocks, tensors for {told}")


@BOOK.rule(
    "experts-differ",
    "high",
    title="the number of experts is not that of the tensors",
    why="The router picks experts by number; one that is not there is read past the end of the matrix.",
    remedy="do not load it; convert the original model again",
    sources=("llama.cpp #29128",),
)
def _experts(walk: GgufWalk) -> Iterator[Hit]:
    declared = whole_number(walk, _key(walk, "expert_count"))
    used = whole_number(walk, _key(walk, "expert_used_count"))
    if declared is not None and used is not None and declared >= 0 and not 0 <= used <= declared:
        yield Hit(_place(walk, "expert_used_count"), f"{used} experts used of {declared}")
    for entry in walk.tensors:
        if _EXPERTS.fullmatch(entry.name) and len(entry.dims) == 3 and entry.dims[2] != (declared or 0):
            yield Hit(
                f"{walk.name}:{entry.text}", f"{entry.dims[2]} experts, expert_count is {declared or 0}"
            )


@BOOK.rule(
    "head-division",
    "high",
    title="attention heads do not divide what they share",
    why="Loaders divide by these numbers and size memory by the result.",
    remedy="do not load it; convert the original model again",
)
def _heads(walk: GgufWalk) -> Iterator[Hit]:
    width = whole_number(walk, _key(walk, "embedding_length"))
    heads = whole_numbers(walk, _key(walk, "attention.head_count"))
    shared = whole_numbers(walk, _key(walk, "attention.head_count_kv"))
    place = _place(walk, "attention.head_count")
    scalar = len(heads) == 1
    if walk.architecture in ("", "clip"):
        return
    if scalar and heads[0] <= 0 and not walk.architecture.startswith(_WITHOUT_HEADS):
        yield Hit(place, f"{heads[0]} heads")
    given = whole_number(walk, _key(walk, "attention.key_length")) is not None
    if scalar and width and heads[0] > 0 and width % heads[0] and not given:
        yield Hit(place, f"{heads[0]} heads do not divide {width} columns")
    # one number holds for every block
    count = min(MAX_BLOCKS, max(len(heads), len(shared)))
    each_heads = heads * count if scalar else heads
    each_shared = shared * count if len(shared) == 1 else shared
    for number, each in zip(each_heads[:count], each_shared[:count], strict=False):
        # a block without attention, or of a recurrent kind, has no heads of keys
        if each < 0 or (each and (number < each or number % each)):
            yield Hit(_place(walk, "attention.head_count_kv"), f"{each} heads of keys for {number} heads")
            return


@BOOK.rule(
    "zero-size",
    "high",
    title="a size is zero or out of all bounds",
    why="Loaders divide by it, or set aside memory by it.",
    remedy="do not load it",
)
def _zero(walk: GgufWalk) -> Iterator[Hit]:
    if walk.architecture in ("", "clip") or not walk.tensors:
        return
    for name in (
        "embedding_length",
        "block_count",
        "context_length",
        "attention.key_length",
        "attention.value_length",
    ):
        number = whole_number(walk, _key(walk, name))
        if number is not None and (number <= 0 or (number > MAX_CONTEXT and name != "context_length")):
            yield Hit(_place(walk, name), str(number))


@BOOK.rule(
    "huge-context",
    "medium",
    title="a context length that no model has",
    why="Runtimes that take the declared length as their default set aside memory for all of it.",
    remedy="set the context length yourself",
)
def _context(walk: GgufWalk) -> Iterator[Hit]:
    number = whole_number(walk, _key(walk, "context_length"))
    if walk.architecture and number is not None and number > MAX_CONTEXT:
        yield Hit(_place(walk, "context_length"), str(number))


@BOOK.rule(
    "embedding-length",
    "high",
    title="the embedding matrix has another width than declared",
    why="The file does not load, or rows are read at the wrong places.",
    remedy="convert the original model again",
)
def _width(walk: GgufWalk) -> Iterator[Hit]:
    width = whole_number(walk, _key(walk, "embedding_length"))
    for entry in walk.tensors:
        if entry.name == b"token_embd.weight" and width is not None and entry.dims[:1] != (width,):
            yield Hit(_place(walk, "embedding_length"), f"{width}, the matrix has rows of {entry.dims[:1]}")


@BOOK.rule(
    "vocabulary-size",
    "medium",
    title="the declared vocabulary has another size than the list of tokens",
    why="Loaders size the embedding matrix and buffers of logits by one and fill them by the other.",
    remedy="convert the original model again",
)
def _vocabulary_size(walk: GgufWalk) -> Iterator[Hit]:
    declared = whole_number(walk, _key(walk, "vocab_size"))
    tokens = walk.metadata.get("tokenizer.ggml.tokens")
    if (
        declared is not None
        and walk.architecture
        and isinstance(tokens, StringArray)
        and declared != len(tokens)
    ):
        yield Hit(_place(walk, "vocab_size"), f"{declared}, there are {len(tokens)} tokens")


@BOOK.rule(
    "odd-rope",
    "medium",
    title="rotary positions over an odd or too large number of columns",
    why="Positions are turned two columns at a time; columns beyond the head belong to its neighbour.",
    remedy="convert the original model again",
)
def _rope(walk: GgufWalk) -> Iterator[Hit]:
    turned = whole_number(walk, _key(walk, "rope.dimension_count"))
    heads = whole_number(walk, _key(walk, "attention.head_count"))
    width = whole_number(walk, _key(walk, "embedding_length"))
    given = whole_number(walk, _key(walk, "attention.key_length"))
    if turned is None or walk.architecture in ("", "clip"):
        return
    size = given or (width // heads if width and heads and heads > 0 else None)
    if turned % 2 or turned < 0 or (size is not None and turned > size):
        yield Hit(_place(walk, "rope.dimension_count"), f"{turned} of {size or 'unknown'} columns of a head")


@BOOK.rule(
    "bad-fraction",
    "high",
    title="a setting of the computation is no usable number",
    why="Every reply comes out as noise, or as whatever the runtime does with NaN.",
    remedy="convert the original model again",
)
def _fractions(walk: GgufWalk) -> Iterator[Hit]:
    for name in _FRACTIONS if walk.architecture else ():
        number = real_number(walk, _key(walk, name))
        if number is None:
            continue
        wrong = not math.isfinite(number) or number < 0
        if name.endswith("epsilon"):
            wrong |= number > _MOST_EPSILON
        if name == "rope.freq_base":
            wrong |= number == 0
        if wrong:
            yield Hit(_place(walk, name), str(number))
