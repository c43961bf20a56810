"""Modules whose parts have any types and shapes: they decode to what they promise, or are refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from checkpoints.by_hand import Stored, module_of
from hypothesis import settings
from hypothesis import strategies as st

from qaudit.checkpoints.codecs.bitsandbytes import STATE
from qaudit.checkpoints.codecs.module_parts import Codec, ModuleParts
from qaudit.checkpoints.codecs.schemes import MAIN_PARTS
from qaudit.checkpoints.raw_tensors import BITS
from qaudit.errors import InputError

FUZZED = settings(max_examples=120, deadline=None)
DTYPES = ("F32", "F16", "BF16", "F8_E4M3", "F8_E8M0", "I32", "I64", "I8", "U8", "F4")
# lengths that fit each other now and then
LENGTHS = st.sampled_from([0, 1, 2, 3, 4, 8, 16, 24, 32])
STATED = json.dumps({"shape": [4, 8], "blocksize": 8, "dtype": "float16"}).encode()


@st.composite
def any_parts(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, Stored]:
    """A main part and up to six others, of noise."""
    main = draw(st.sampled_from(MAIN_PARTS))
    others = draw(st.lists(st.sampled_from(names), unique=True, max_size=6))
    parts: dict[str, Stored] = {}
    for name in {main: None, **dict.fromkeys(others)}:
        shape = tuple(draw(st.lists(LENGTHS, max_size=3)))
        dtype = draw(st.sampled_from([d for d in DTYPES if math.prod(shape) * BITS[d] % 8 == 0]))
        size = math.prod(shape) * BITS[dtype] // 8
        noise = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, size, np.uint8)
        parts[name] = dtype, shape, noise.tobytes()
        if name.startswith(STATE) and draw(st.booleans()):
            parts[name] = "U8", (len(STATED),), STATED
    return parts


def decode_if_it_may(codec_for: Callable[[ModuleParts], Codec], path: Path, parts: dict[str, Stored]) -> None:
    """Decode a module and some of its rows; anything raised but an InputError is a bug."""
    module = module_of(path, parts)
    try:
        codec = codec_for(module)
        rows, columns = codec.shape(module)
        for start, stop in {(0, rows), (rows // 2, rows), (0, min(rows, 1))}:
            if start < stop:
                values = codec.rows(module, start, stop)
                assert (values.dtype, values.shape) == (np.float32, (stop - start, columns))
    except InputError:
        return
