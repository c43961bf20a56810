"""Numbers in a walked header, whatever a hostile writer put in their place."""

import math
from array import array
from collections import Counter

from qaudit.static.gguf.ggml_types import PACKINGS
from qaudit.static.gguf.walk import GgufWalk, TensorEntry

MOST_DIMENSIONS = 8
_UNQUANTIZED = frozenset({0, 1, 24, 25, 26, 27, 28, 30})


def whole_numbers(walk: GgufWalk, key: str) -> list[int]:
    """Return the numbers of a key: none, one, or one for each block."""
    value = walk.metadata.get(key)
    if isinstance(value, bool):
        return []
    if isinstance(value, int):
        return [value]
    if isinstance(value, array) and value.typecode not in "fd":
        return value.tolist()
    return []


def whole_number(walk: GgufWalk, key: str) -> int | None:
    """Return the number of a key if there is just one."""
    found = whole_numbers(walk, key)
    return found[0] if len(found) == 1 else None


def real_number(walk: GgufWalk, key: str) -> float | None:
    """Return the number of a key as a float; None where it is no number or an array."""
    value = walk.metadata.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def elements(entry: TensorEntry) -> int:
    """Return how many weights a tensor has; 0 where its dimensions are not to be believed."""
    if not entry.dims or len(entry.dims) > MOST_DIMENSIONS:
        return 0
    return math.prod(entry.dims)


def is_matrix(entry: TensorEntry) -> bool:
    """Whether a tensor has more than one row of more than one column."""
    return len(entry.dims) >= 2 and entry.dims[0] > 1 and elements(entry) > entry.dims[0]


def is_quantized(entry: TensorEntry) -> bool:
    """Whether a tensor is packed in blocks, by its type."""
    return entry.type_id not in _UNQUANTIZED


def matrix_bits(walk: GgufWalk, but: int | None = None) -> tuple[Counter[int], float | None]:
    """Return the weights of all matrices by type, and bits for each weight where every type is known.

    Args:
        walk: of the file.
        but: a type whose matrices do not count.
    """
    weights: Counter[int] = Counter()
    bits = 0.0
    for entry in walk.tensors:
        if is_matrix(entry) and entry.type_id != but:
            count = elements(entry)
            weights[entry.type_id] += count
            packings = PACKINGS.get(entry.type_id)
            # a type that is not known makes the whole unknown
            bits += count * packings[0].bytes * 8 / packings[0].weights if packings else math.nan
    total = weights.total()
    return weights, bits / total if total and not math.isnan(bits) else None


def is_shard(walk: GgufWalk) -> bool:
    """Whether the file is one of several, so that its tensors are not all."""
    count = whole_number(walk, "split.count")
    return count is not None and count > 1


def holds_model(walk: GgufWalk) -> bool:
    """Whether the file is a whole language model: not a shard, an adapter, a projector or a vocabulary."""
    kind = walk.text("general.type")
    return (
        walk.complete
        and bool(walk.tensors)
        and not is_shard(walk)
        and kind in (None, "model")
        and walk.architecture not in ("", "clip")
        and not any(entry.name.endswith((b".lora_a", b".lora_b")) for entry in walk.tensors)
    )
