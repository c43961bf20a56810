"""Tensor tables of a candidate and its reference: what is missing, new, of another shape or type."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qaudit.findings import Finding
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.model_parts import ModelParts
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.tensors.shapes import shape_text
from qaudit.static.tensors.table import Row, TensorTable, table_of, under_shared_names


@dataclass(frozen=True, slots=True)
class TablePair:
    """Two tables under common names.

    Attributes:
        same_format: names of both are of one format, so that what only one has is news.
    """

    candidate: TensorTable
    reference: TensorTable
    mine: Mapping[str, Row]
    theirs: Mapping[str, Row]
    same_format: bool


BOOK: RuleBook[TablePair] = RuleBook("tensors", "tensors of a candidate against those of its reference")
PUBLISHER = "ask how it was made; quantizing changes types and nothing else"
SOURCE = (
    "https://github.com/ggml-org/ggml/blob/master/docs/gguf.md",
    "https://huggingface.co/docs/safetensors",
)
# made when a model is loaded, or by runtimes for their own use
_BUFFERS = LazyPattern(
    r"(?:.*\.)?(?:rotary_emb\.inv_freq|inv_freq|rope_freqs|rope_factors_(?:long|short)|masked_bias|attn\.bias"
    r"|position_ids|[kqv]_scale|kv_scale|attn_rot_embd)"
)
_HEAD = LazyPattern(r"(?:.*\.)?lm_head|output")
_EMBEDDING = LazyPattern(r"(?:.*\.)?(?:embed_tokens|token_embd|wte)|(?:.*\.)?lm_head|output")
_ADAPTER = LazyPattern(r".*\.lora_(?:[AB]|embedding_[AB]|magnitude_vector)(?:\..*)?|.*\.lora_[ab]")
_FEW = 0.25  # of all matrices
_LOW = 0.5  # of the typical bits
_FURTHER_LAYERS = LazyPattern(r"(?:.*\.)?mtp\..*")


def compare_tensors(candidate: ModelParts, reference: ModelParts) -> list[Finding]:
    """Compare two models; a module packed by a quantizer is compared as the matrix that it stands for."""
    mine, theirs = table_of(candidate), table_of(reference)
    if not mine.rows or not theirs.rows or all(_ADAPTER.fullmatch(name) for name in mine.rows):
        return []
    same = (mine.format == "gguf") == (theirs.format == "gguf")
    if same:
        pair = TablePair(mine, theirs, mine.rows, theirs.rows, True)
    else:
        pair = TablePair(mine, theirs, under_shared_names(mine), under_shared_names(theirs), False)
    return BOOK.findings(pair)


@BOOK.rule(
    "missing", "high",
    title="a tensor of the reference is not there",
    why="What is missing is made up at random, or left out: not the model that it claims to be.",
    remedy=PUBLISHER, sources=SOURCE,
)  # fmt: skip
def missing(pair: TablePair) -> Iterator[Hit]:
    """Find modules that only the reference has."""
    stacks = _expert_stacks(pair.mine)
    for name, row in pair.theirs.items():
        if name in pair.mine or _BUFFERS.fullmatch(name) or _FURTHER_LAYERS.fullmatch(name):
            continue
        if not pair.same_format and not _sibling(name, pair.mine):
            continue  # other formats fuse and rename
        told = f"{row.what.type} in the reference"
        tied = _HEAD.fullmatch(name) and any(_EMBEDDING.fullmatch(other) for other in pair.mine)
        fused = _experts(name) in stacks
        yield Hit(_at(pair.candidate, name), told, "info" if tied or fused else None)


@BOOK.rule(
    "extra", "medium",
    title="a tensor that the reference does not have",
    why="Added modules change what a model does without touching a weight that is compared.",
    remedy=PUBLISHER, sources=SOURCE,
)  # fmt: skip
def extra(pair: TablePair) -> Iterator[Hit]:
    """Find modules that only the candidate has."""
    stacks = _expert_stacks(pair.theirs)
    for name, row in pair.mine.items() if pair.same_format else ():
        if name not in pair.theirs and not _BUFFERS.fullmatch(name):
            told = f"{row.what.type} {shape_text(row.what.shape or ())}"
            usual = _HEAD.fullmatch(name) or _experts(name) in stacks
            yield Hit(_at(pair.candidate, name), told, "info" if usual else None)


@BOOK.rule(
    "bias", "medium",
    title="a bias that only one of the two has",
    why="A bias steers every output of its layer one way, which is how behaviours are added or taken away.",
    remedy=PUBLISHER, sources=SOURCE,
)  # fmt: skip
def bias(pair: TablePair) -> Iterator[Hit]:
    """Find modules with a bias on one side only."""
    for name, row in pair.mine.items():
        other = pair.theirs.get(name)
        if other is None or row.biased == other.biased:
            continue
        if row.biased:
            # AutoGPTQ writes one, of zeros, for every module
            yield Hit(
                _at(pair.candidate, name), "has one, the reference none", "info" if row.packed else None
            )
        else:
            yield Hit(_at(pair.candidate, name), "has none, the reference has one", "high")


@BOOK.rule(
    "shape", "high",
    title="a tensor has another shape than in the reference",
    why="Quantizing leaves shapes as they are: rows, heads or layers were added, cut or exchanged.",
    remedy=PUBLISHER, sources=SOURCE,
)  # fmt: skip
def shape(pair: TablePair) -> Iterator[Hit]:
    """Hold unpacked shapes, or where these are not told numbers of weights, against each other."""
    for name, row in pair.mine.items():
        other = pair.theirs.get(name)
        if other is None:
            continue
        mine, theirs = row.what.shape, other.what.shape
        if mine is None or theirs is None:
            counts = row.what.elements, other.what.elements
            # two codes a byte: an odd number of weights is rounded up
            if None not in counts and abs((counts[0] or 0) - (counts[1] or 0)) > 1:
                yield Hit(_at(pair.candidate, name), f"{counts[0]} weights, {counts[1]} in the reference")
        elif _without_ones(mine) != _without_ones(theirs):
            rows_only = _EMBEDDING.fullmatch(name) and mine[1:] == theirs[1:]
            turned = sorted(mine) == sorted(theirs) and len(mine) > 2
            told = f"{shape_text(mine)}, {shape_text(theirs)} in the reference"
            yield Hit(_at(pair.candidate, name), told, "info" if turned else "medium" if rows_only else None)


@BOOK.rule(
    "type-lower", "medium",
    title="a few matrices have far fewer bits than the others",
    why="Quantizing chosen layers to rubble takes a behaviour out while the average looks fine.",
    remedy="ask why; `qaudit weights` measures what they lost", sources=("https://arxiv.org/abs/2405.18137",),
)  # fmt: skip
def type_lower(pair: TablePair) -> Iterator[Hit]:
    """Find matrices with less than half of the candidate's typical bits."""
    typical = pair.candidate.typical_bits
    if typical is None:
        return
    matrices = [row for row in pair.candidate.rows.values() if row.matrix and row.what.bits]
    low = [row for row in matrices if row.what.bits and row.what.bits < _LOW * typical]
    for row in low if len(low) <= _FEW * len(matrices) else ():
        told = f"{row.what.type}, {row.what.bits:g} bits a weight; typical are {typical:g}"
        yield Hit(_at(pair.candidate, row.name), told)


@BOOK.rule(
    "type-higher", "info",
    title="matrices with more bits than in the reference",
    why="Nothing is gained by them: they were made from other weights than the reference's, or stored wider.",
    remedy="ask what they were made from", sources=SOURCE,
)  # fmt: skip
def type_higher(pair: TablePair) -> Iterator[Hit]:
    """Count matrices whose bits are above those of the reference."""
    found = [
        (name, row.what, pair.theirs[name].what)
        for name, row in pair.mine.items()
        if name in pair.theirs and row.matrix and (row.what.bits or 0) > (pair.theirs[name].what.bits or 1e9)
    ]
    if found:
        name, mine, theirs = found[0]
        yield Hit(
            pair.candidate.location, f"{len(found)}, such as {name[:120]}: {mine.type}, {theirs.type} there"
        )


def _at(table: TensorTable, name: str) -> str:
    return f"{table.location}:{ascii(name[:200])[1:-1]}"


def _sibling(name: str, rows: Mapping[str, Row]) -> bool:
    """Return whether another layer has a module of that name, so that its absence here is news."""
    match = re.fullmatch(r"(model\.layers\.)(\d+)(\..+)", name)
    if match is None:
        return False
    return f"{match[1]}0{match[3]}" in rows or f"{match[1]}{max(0, int(match[2]) - 1)}{match[3]}" in rows


def _experts(name: str) -> str:
    """Return the stack of experts that a module is in; empty outside of one."""
    cut = name.find(".experts")
    return name[:cut] if cut >= 0 else ""


def _expert_stacks(rows: Mapping[str, Row]) -> set[str]:
    return {_experts(name) for name in rows} - {""}


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)
