"""ggml's packed block types -> float32, by ggml's own code where it is installed.

llama-cpp-python bundles `libggml-base`, whose dequantize_row_* functions are what llama.cpp itself
runs; without it gguf-py's numpy decoders give the same bits, slower.
"""

import ctypes
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from numpy.typing import NDArray

from qaudit.errors import InputError

FloatRows = NDArray[np.float32]
# type -> (weights, bytes) of a block. Q8_1 is left out: it only exists while llama.cpp computes, nothing
# decodes it, and gguf-py (40 bytes) and ggml (36) disagree about it
BLOCKS: dict[GGMLQuantizationType, tuple[int, int]] = {
    kind: size for kind, size in GGML_QUANT_SIZES.items() if kind != GGMLQuantizationType.Q8_1
}
_PLAIN = {
    GGMLQuantizationType.F32: "<f4", GGMLQuantizationType.F16: "<f2", GGMLQuantizationType.F64: "<f8",
    GGMLQuantizationType.I8: "<i1", GGMLQuantizationType.I16: "<i2", GGMLQuantizationType.I32: "<i4",
    GGMLQuantizationType.I64: "<i8",
}  # fmt: skip


def decode_rows(packed: bytes, kind: GGMLQuantizationType, columns: int) -> FloatRows:
    """Decode whole rows.

    Args:
        packed: the rows' bytes, back to back.
        kind: ggml type.
        columns: weights per row.

    Shapes:
        returns float32 [rows, columns].

    Raises:
        InputError: the bytes are not whole rows, or nothing here can decode the type.
    """
    if kind not in BLOCKS:
        raise InputError(f"{kind.name} is not a type for files; nothing decodes it")
    block, block_bytes = BLOCKS[kind]
    row_bytes = columns // block * block_bytes
    if columns % block or row_bytes < 1 or len(packed) % row_bytes:
        raise InputError(f"{len(packed)} bytes are not whole {kind.name} rows of {columns} weights")
    rows = len(packed) // row_bytes
    if kind in _PLAIN:
        # hostile weights overflow or are NaN: that is for who asked to judge, not for a warning
        with np.errstate(all="ignore"):
            return np.frombuffer(packed, _PLAIN[kind]).astype(np.float32).reshape(rows, columns)
    native = native_decoder(kind)
    if native is not None:
        out = np.empty(rows * columns, np.float32)
        native(packed, out.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), out.size)
        return out.reshape(rows, columns)
    try:
        with np.errstate(all="ignore"):
            decoded = quants.dequantize(np.frombuffer(packed, np.uint8).reshape(rows, row_bytes), kind)
    except NotImplementedError as error:
        raise InputError(
            f"{kind.name} tensors need llama.cpp to decode; run: pip install 'qaudit[gguf]'"
        ) from error
    result: FloatRows = decoded.reshape(rows, columns)
    return result


@functools.cache
def native_decoder(kind: GGMLQuantizationType) -> Callable[..., None] | None:
    """Return ggml's own decoder of a type, or None where it is not installed or has none."""
    library = ggml_base()
    if library is None:
        return None
    function = getattr(library, f"dequantize_row_{_c_name(kind)}", None)
    if function is None:
        return None
    function.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_float), ctypes.c_int64]
    function.restype = None
    decoder: Callable[..., None] = function
    return decoder


def _c_name(kind: GGMLQuantizationType) -> str:
    # ggml writes q4_K, iq2_xxs, tq1_0: only the K of k-quants is a capital
    name = kind.name.lower()
    return name.replace("_k", "_K") if name.startswith("q") else name


@functools.cache
def ggml_base() -> ctypes.CDLL | None:
    """Return the library that llama-cpp-python brings, or None where it is not installed."""
    # found without importing llama_cpp, which would load all of llama.cpp
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations:
        return None
    for name in ("libggml-base.so", "libggml-base.dylib", "ggml-base.dll"):
        path = Path(spec.submodule_search_locations[0]) / "lib" / name
        if path.is_file():
            try:
                return ctypes.CDLL(str(path))
            except OSError:  # built for another machine
                return None
    return None
