"""Rules on the values of weights, from what a pass over their bytes noted."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook["Values"] = RuleBook("weights", "Values of weights.")

# rows of zeros in a matrix are cut heads or padding up to here
MOST_ZERO_ROWS = 0.25
MOST_TINY = 0.9  # of its blocks
_ADAPTED = ".lora_"
_LOOKUPS = ("token_embd", "output.weight", "position_embd", "token_types", "rope_", "embed")


@dataclass(frozen=True, slots=True)
class Value:
    """What one tensor's bytes showed.

    Attributes:
        name: of the tensor.
        at: offset of its data in the file.
        read: bytes that were looked at.
        unsound: blocks (or plain values) of them with a scale that is no finite number.
        unsound_at: offset in the file of the first.
        rows: whole rows that were looked at; `zero` of them hold nothing but zeros.
        constant: what was read is one block over and over.
        matrix: it has several rows.
        digest: of what was read, with shape and type.
        begins: what program, archive or pickle its first bytes begin; empty for none.
        small: blocks, of all that were read, whose scale is next to nothing.
    """

    name: str
    type: str
    at: int
    size: int
    read: int
    unsound: int
    unsound_at: int | None
    rows: int
    zero: int
    constant: bool
    matrix: bool
    digest: bytes
    begins: str
    small: int = 0
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class Values:
    """What the pass over one file noted."""

    name: str
    values: tuple[Value, ...]
    whole: bool

    def place(self, value: Value) -> str:
        """Return the location of a tensor."""
        return f"{self.name}:{value.name}"


@BOOK.rule(
    "not-finite",
    "high",
    title="weights are NaN or infinite",
    why="One such number spreads to every value that is computed from it: replies are noise, or whatever the "
    "runtime makes of NaN, and checks on logits never trigger.",
    remedy="do not use it; quantize the original model again",
    sources=("https://github.com/ggml-org/llama.cpp (--check-tensors)",),
)
def _not_finite(values: Values) -> Iterator[Hit]:
    for value in values.values:
        if value.unsound:
            yield Hit(
                values.place(value),
                f"{value.unsound} blocks or values of {value.type}, the first at byte {value.unsound_at}",
            )


@BOOK.rule(
    "all-zero",
    "medium",
    title="a whole matrix is zero or one value",
    why="A part of the model does nothing: a layer that was switched off by hand, or a file that was never "
    "filled.",
    remedy="compare the tensor with the original model's",
)
def _zero(values: Values) -> Iterator[Hit]:
    # half of an adapter begins as zeros, and stays so where nothing was learned
    matrices = [v for v in values.values if v.matrix and _ADAPTED not in v.name]
    empty = [v for v in matrices if v.constant or (v.rows and v.zero == v.rows)]
    if empty and len(empty) == len(matrices):
        yield Hit(values.name, f"all {len(matrices)} matrices are zero or one block over and over")
        return
    for value in empty:
        told = "one block over and over" if value.constant else "zero in all rows"
        yield Hit(values.place(value), f"{value.type}, {told}{'' if values.whole else ' that were read'}")


@BOOK.rule(
    "zero-rows",
    "low",
    title="many rows of a matrix are zero",
    why="Outputs were cut away, by pruning or by hand; of embeddings, tokens that the model cannot tell "
    "apart.",
    remedy="compare the tensor with the original model's",
)
def _rows(values: Values) -> Iterator[Hit]:
    for value in values.values:
        lookup = any(name in value.name for name in _LOOKUPS)
        if (
            value.matrix
            and not lookup
            and value.zero < value.rows
            and value.zero > MOST_ZERO_ROWS * value.rows
        ):
            yield Hit(values.place(value), f"{value.zero} of {value.rows} rows")


@BOOK.rule(
    "tiny-scales",
    "low",
    title="a matrix is next to nothing",
    why="Scales that are all below what half floats hold exactly: a part of the model was turned down by "
    "hand, and does nothing without being zero.",
    remedy="compare the tensor with the original model's",
)
def _tiny(values: Values) -> Iterator[Hit]:
    for value in values.values:
        if value.matrix and value.small > MOST_TINY * value.blocks:
            yield Hit(values.place(value), f"{value.small} of {value.blocks} blocks of {value.type}")


@BOOK.rule(
    "same-bytes",
    "low",
    title="two matrices hold the same bytes",
    why="Layers were copied: the model is put together from parts, or a part stands where another should.",
    remedy="compare the tensors with the original model's",
)
def _same(values: Values) -> Iterator[Hit]:
    found: dict[bytes, list[Value]] = defaultdict(list)
    for value in values.values:
        if value.matrix and not value.constant and value.zero < max(1, value.rows):
            found[value.digest].append(value)
    for same in found.values():
        # an output matrix that is the embeddings' is common
        names = {value.name for value in same}
        if len(same) > 1 and not names <= {"token_embd.weight", "output.weight"}:
            told = ", ".join(value.name[:64] for value in same[:4])
            more = "" if values.whole else " where they were read"
            yield Hit(values.place(same[0]), f"{len(same)} matrices are the same{more}: {told}"[:400])


@BOOK.rule(
    "foreign-data",
    "high",
    title="a tensor begins like another kind of file",
    why="Weights are a place to carry programs past scanners that look at names and headers only.",
    remedy="do not load it; look at the bytes",
    sources=("https://github.com/protectai/modelscan",),
)
def _foreign(values: Values) -> Iterator[Hit]:
    for value in values.values:
        if value.begins:
            yield Hit(f"{values.place(value)}@byte {value.at}", f"begins like {value.begins}")
