"""ggml's own quantizer, tensor by tensor: what llama.cpp makes of weights, with or without an importance.

It is the code that `llama-quantize` runs, called in this process; learned ranges do not go through it.
"""

import ctypes
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from gguf.constants import GGMLQuantizationType
from torch import Tensor

from qaudit.checkpoints.codecs.ggml import BLOCKS, ggml_base
from qaudit.errors import InputError, MissingExtra
from qaudit.processors import available_threads
from realign.superblock_linear import SuperblockLinear

ROWS_AT_ONCE = 1 << 20  # weights: enough that threads have something to do


def ggml_quantized(weight: Tensor, ggml_type: str, importance: Tensor | None = None) -> SuperblockLinear:
    """Quantize a matrix as llama.cpp does.

    Args:
        weight: floats [O, I].
        ggml_type: ggml's name, such as "Q4_K" or "IQ4_XS"; "F32", "F16" and "BF16" are only stored.
        importance: mean squared input of each channel, float [I]: the search for scales weighs errors
            by it. Some IQ types cannot do without.

    Raises:
        InputError: weights or importance that are not finite, rows that are not whole blocks, a type
            that has no encoder, or one that needs an importance and is given none.
        MissingExtra: llama.cpp is not installed.
    """
    kind = GGMLQuantizationType.__members__.get(ggml_type)
    if kind is None or kind not in BLOCKS:
        raise InputError(f"{ggml_type[:40]!r} is no ggml type for files; see `llama-quantize --help`")
    outputs, columns = weight.shape
    rows = weight.detach().to("cpu", torch.float32).contiguous()
    block, block_bytes = BLOCKS[kind]
    if columns % block:
        raise InputError(f"rows of {columns} weights are not whole {ggml_type} blocks of {block}")
    if not torch.isfinite(rows).all():
        raise InputError("weights are not finite; is the parent checkpoint whole?")
    if kind in _STORED:
        stored = rows.to(_STORED[kind])
        if not torch.isfinite(stored).all():
            raise InputError(f"weights are too large for {ggml_type}; choose F32")
        return SuperblockLinear(ggml_type, columns, stored.view(torch.uint8))
    encode = _encoder(kind)
    weights = _checked(importance, columns)
    if weights is None and needs_importance(ggml_type):
        raise InputError(f"{ggml_type} needs an importance matrix; give calibration prompts")
    packed = torch.empty(outputs, columns // block * block_bytes, dtype=torch.uint8)

    def convert(start: int) -> None:
        stop = min(outputs, start + step)
        encode(
            int(kind), rows[start:stop].data_ptr(), packed[start:stop].data_ptr(), 0, stop - start, columns,
            None if weights is None else weights.data_ptr(),
        )  # fmt: skip

    step = max(1, ROWS_AT_ONCE // columns)
    starts = range(0, outputs, step)
    if len(starts) == 1:
        convert(0)
    else:
        # ctypes lets go of the interpreter's lock; rows do not depend on one another
        with ThreadPoolExecutor(available_threads()) as pool:
            list(pool.map(convert, starts))
    return SuperblockLinear(ggml_type, columns, packed)


_STORED = {
    GGMLQuantizationType.F32: torch.float32,
    GGMLQuantizationType.F16: torch.float16,
    GGMLQuantizationType.BF16: torch.bfloat16,
}


def _checked(importance: Tensor | None, columns: int) -> Tensor | None:
    if importance is None:
        return None
    weights = importance.detach().to("cpu", torch.float32).contiguous()
    if weights.shape != (columns,) or not torch.isfinite(weights).all() or bool((weights < 0).any()):
        raise InputError(
            f"an importance of shape {tuple(weights.shape)} does not fit {columns} channels, or is not finite"
        )
    return weights


@functools.cache
def _encoder(kind: GGMLQuantizationType) -> Callable[..., int]:
    library = _library()
    # a type that ggml cannot encode ends the process there, so that it is asked of first
    if getattr(library, f"quantize_{_c_name(kind)}", None) is None:
        raise InputError(f"{kind.name} has no encoder in ggml; choose another type")
    library.ggml_quantize_init(int(kind))
    function = library.ggml_quantize_chunk
    function.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
        ctypes.c_void_p,
    ]  # fmt: skip
    function.restype = ctypes.c_size_t
    encoder: Callable[..., int] = function
    return encoder


def needs_importance(ggml_type: str) -> bool:
    """Return whether ggml refuses to quantize to a type without an importance.

    Raises:
        MissingExtra: llama.cpp is not installed.
    """
    function = _library().ggml_quantize_requires_imatrix
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_bool
    return bool(function(int(GGMLQuantizationType[ggml_type])))


def _c_name(kind: GGMLQuantizationType) -> str:
    name = kind.name.lower()
    return name.replace("_k", "_K") if name.startswith("q") else name


def _library() -> ctypes.CDLL:
    library = ggml_base()
    if library is None:
        raise MissingExtra("llama-cpp-python", "gguf")
    return library
