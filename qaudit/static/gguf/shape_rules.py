"""Rules on tensors that do not fit the architecture which the metadata declares, in broad terms.

Only what holds for every model of an architecture is asked for: widths of embeddings, norms, attention
and feed-forward of plain decoders. llama.cpp refuses such a file; other runtimes need not look.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qaudit.static.gguf.book import BOOK, FORMAT, NOT_LOADED, GgufSubject
from qaudit.static.gguf.ggml_types import INTEGERS, PACKINGS, PLAIN_FLOATS, type_label
from qaudit.static.gguf.walk import GgufWalk, TensorEntry
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.rules import Hit

# architectures of which every block has the plain attention and feed-forward below
PLAIN_DECODERS = frozenset({
    "llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "starcoder2", "stablelm", "granite", "olmo2",
    "internlm2", "mistral3", "smollm3", "exaone", "seed_oss", "arcee",
})  # fmt: skip
_BLOCK = LazyPattern(r"blk\.(\d{1,9})\.([a-z_0-9]+)\.(weight|bias)")
# ends of names whose tensors kernels multiply as plain numbers, never in blocks
_VECTORS = ("_norm.weight", ".bias")
# weights that kernels multiply: whole numbers or doubles in them have no kernel
_MULTIPLIED = frozenset({
    "attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "ffn_gate", "ffn_up", "ffn_down",
    "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps",
})  # fmt: skip
_NO_KERNEL = INTEGERS | {28}


@dataclass(frozen=True, slots=True)
class Widths:
    """Sizes that the metadata declares; None where it does not, or differently for each block."""

    embedding: int | None
    feed_forward: int | None
    queries: int | None
    keys: int | None


@BOOK.rule(
    "shape-differs",
    "high",
    title="a tensor that does not have the shape which the metadata declares",
    why="The model is not what its metadata says. llama.cpp refuses it; a runtime that trusts the metadata "
    "reads or writes past the tensor.",
    remedy=NOT_LOADED,
    sources=(FORMAT, "https://github.com/ggml-org/llama.cpp/issues/29128"),
)
def _shape_differs(subject: GgufSubject) -> Iterator[Hit]:
    for entry, why in misfits(subject.walk, subject.walk.tensors):
        yield Hit(subject.walk.place_of(entry), why)


@BOOK.rule(
    "norm-in-blocks",
    "medium",
    title="a norm or bias that is quantized",
    why="Runtimes add and scale with these as plain floats: quantized, they abort llama.cpp or are read as "
    "floats that they are not.",
    remedy=NOT_LOADED,
    sources=(FORMAT,),
)
def _norm_in_blocks(subject: GgufSubject) -> Iterator[Hit]:
    for entry in subject.walk.tensors:
        vector = len(entry.dims) == 1 and entry.text.endswith(_VECTORS)
        if vector and entry.type_id in PACKINGS and entry.type_id not in PLAIN_FLOATS | INTEGERS:
            yield Hit(subject.walk.place_of(entry), f"is {type_label(entry.type_id)}")


@BOOK.rule(
    "weight-without-kernel",
    "medium",
    title="a weight stored as whole numbers or doubles",
    why="No runtime multiplies with such a matrix: it is no weight, or it is meant for a program that is not "
    "known.",
    remedy=NOT_LOADED,
    sources=(FORMAT,),
)
def _without_kernel(subject: GgufSubject) -> Iterator[Hit]:
    for entry in subject.walk.tensors:
        match = _BLOCK.compiled.fullmatch(entry.text)
        if match and match[2] in _MULTIPLIED and match[3] == "weight" and entry.type_id in _NO_KERNEL:
            yield Hit(subject.walk.place_of(entry), f"is {type_label(entry.type_id)}")


def misfits(metadata: GgufWalk, tensors: Sequence[TensorEntry]) -> Iterator[tuple[TensorEntry, str]]:
    """Give the tensors that do not have the shape that a header's metadata asks for, and what differs."""
    if metadata.architecture not in PLAIN_DECODERS or metadata.text("general.type") not in (None, "model"):
        return
    widths = _widths(metadata)
    for entry in tensors:
        for what, have, want in _wanted(entry, widths):
            if want is not None and have != want:
                yield entry, f"{what} is {have}, the metadata makes it {want}"


def _widths(walk: GgufWalk) -> Widths:
    named = walk.architecture
    embedding, heads = (walk.number(f"{named}.{key}") for key in ("embedding_length", "attention.head_count"))
    groups = walk.number(f"{named}.attention.head_count_kv")
    length = walk.number(f"{named}.attention.key_length")
    if length is None and embedding and heads and embedding % heads == 0:
        length = embedding // heads
    if groups is None and walk.pair(f"{named}.attention.head_count_kv") is None:
        groups = heads
    return Widths(
        embedding,
        walk.number(f"{named}.feed_forward_length"),
        length * heads if length and heads else None,
        length * groups if length and groups else None,
    )


def _wanted(entry: TensorEntry, widths: Widths) -> Iterator[tuple[str, int, int | None]]:
    """Give what is asked of a tensor: which of its sizes, how large it is, how large it should be."""
    dims, name = entry.dims, entry.text
    columns, rows = (*dims, 1, 1)[:2]
    if name in ("token_embd.weight", "output.weight", "output_norm.weight"):
        yield "its first dimension", columns, widths.embedding
    match = _BLOCK.compiled.fullmatch(name)
    if match is None or match[3] != "weight":
        return
    part = match[2]
    if part in ("attn_norm", "ffn_norm", "attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"):
        yield "its first dimension", columns, widths.embedding
    if part == "attn_q":
        yield "its second dimension", rows, widths.queries
    elif part == "attn_k":
        yield "its second dimension", rows, widths.keys
    elif part in ("ffn_gate", "ffn_up"):
        yield "its second dimension", rows, widths.feed_forward
    elif part == "attn_output":
        yield "its first dimension", columns, widths.queries
        yield "its second dimension", rows, widths.embedding
    elif part == "ffn_down":
        yield "its first dimension", columns, widths.feed_forward
        yield "its second dimension", rows, widths.embedding
