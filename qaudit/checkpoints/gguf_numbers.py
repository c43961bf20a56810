"""Numbers in a GGUF's metadata under the prefix of its architecture, checked."""

import math

import numpy as np

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.errors import MalformedFile

MAX_WHOLE = 1 << 31


def whole_number(gguf: GgufCheckpoint, key: str, default: int | None = None) -> int:
    """Return a positive whole number; one that is given for each layer must be the same for all.

    Raises:
        MalformedFile: it is missing without a default, not a number, out of bounds or differs by layer.
    """
    full = f"{gguf.architecture}.{key}"
    value = gguf.metadata.get(full, default)
    if isinstance(value, np.ndarray) and value.size and (value == value[0]).all():
        value = value[0].item()
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < MAX_WHOLE:
        raise MalformedFile(
            gguf.path, f"{full} is {value!r:.40}, not one positive whole number", "convert it again"
        )
    return value


def real_number(gguf: GgufCheckpoint, key: str, default: float | None = None) -> float:
    """Return a finite number.

    Raises:
        MalformedFile: it is missing without a default, or not a finite number.
    """
    full = f"{gguf.architecture}.{key}"
    value = gguf.metadata.get(full, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise MalformedFile(gguf.path, f"{full} is {value!r:.40}, not a finite number", "convert it again")
    return float(value)
