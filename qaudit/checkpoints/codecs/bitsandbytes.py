"""bitsandbytes: 4-bit codes of a table (nf4, fp4) by blocks, and 8-bit integers by outputs.

QLoRA, arXiv 2305.14314: a block of inputs shares `absmax`, which double quantization stores as codes
of a second table. LLM.int8(), arXiv 2208.07339: `SCB` is the largest magnitude of each output.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from qaudit.checkpoints.codecs.module_parts import ModuleParts
from qaudit.checkpoints.raw_tensors import FloatArray, RawTensor
from qaudit.strict_json import load_strict

STATE = "weight.quant_state.bitsandbytes__"
KINDS = ("nf4", "fp4")
MAX_STATE = 1 << 16  # bytes of JSON
_COMPUTED_IN = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}


@dataclass(frozen=True, slots=True)
class _State:
    """What the JSON beside a matrix says; `nested_block` is 0 without double quantization."""

    shape: tuple[int, int]
    block: int
    dtype: str
    nested_block: int
    nested_offset: float


class FourBit:
    """`weight` U8 [O*I/2, 1], two codes a byte, the first in the upper half."""

    def shape(self, parts: ModuleParts) -> tuple[int, int]:
        """Return (outputs, inputs); see `Codec`."""
        state = _state(parts)
        outputs, inputs = state.shape
        count = outputs * inputs
        if parts.dtype("weight") != "U8" or parts.shape("weight") not in {
            (-(-count // 2), 1),
            (-(-count // 2),),
        }:
            raise parts.malformed(f"weight is not the {count} codes that its quant_state tells")
        parts.require("weight.quant_map", {"F32"}, (16,))
        blocks = -(-count // state.block)
        if state.nested_block:
            parts.require("weight.absmax", {"U8"}, (blocks,))
            parts.require("weight.nested_absmax", {"F32"}, (-(-blocks // state.nested_block),))
            parts.require("weight.nested_quant_map", {"F32"}, (256,))
        else:
            parts.require("weight.absmax", {"F32"}, (blocks,))
        return outputs, inputs

    def rows(self, parts: ModuleParts, start: int, stop: int) -> FloatArray:
        """Decode rows, rounded to the type that bitsandbytes decodes to; see `Codec`."""
        state = _state(parts)
        inputs = state.shape[1]
        first, last = start * inputs, stop * inputs
        packed = parts.read("weight", first // 2, -(-last // 2)).array().reshape(-1)
        table = parts.read("weight.quant_map").floats()
        pairs = np.stack([np.repeat(table, 16), np.tile(table, 16)], axis=1)
        values = pairs[packed].reshape(-1)[first % 2 : first % 2 + last - first]
        with np.errstate(all="ignore"):
            values *= _absmax(parts, state)[np.arange(first, last) // state.block]
        return _rounded(values, state.dtype).reshape(stop - start, inputs)


class EightBit:
    """`weight` I8 [O, I] and `SCB` F32 [O]."""

    def shape(self, parts: ModuleParts) -> tuple[int, int]:
        """Return (outputs, inputs); see `Codec`."""
        parts.require("weight", {"I8"}, (None, None))
        outputs, inputs = parts.shape("weight")
        parts.require("SCB", {"F32"}, (outputs,))
        if "weight_format" in parts and any(parts.read("weight_format").data):
            raise parts.malformed("its codes lie in tiles for an old GPU; save it again with bitsandbytes")
        return outputs, inputs

    def rows(self, parts: ModuleParts, start: int, stop: int) -> FloatArray:
        """Decode rows; see `Codec`."""
        codes = parts.read("weight", start, stop).array().astype(np.float32)
        largest = parts.read("SCB", start, stop).floats()
        with np.errstate(all="ignore"):
            return codes * largest[:, None] * np.float32(1 / 127)


def _state(parts: ModuleParts) -> _State:
    name = next((STATE + kind for kind in KINDS if STATE + kind in parts), STATE + KINDS[0])
    parts.require(name, {"U8"}, (None,))
    if parts.shape(name)[0] > MAX_STATE:
        raise parts.malformed(f"{name} is longer than {MAX_STATE} bytes")
    try:
        given = load_strict(parts.read(name).data)
        if not isinstance(given, dict):
            raise TypeError("not an object")
        shape = tuple(_count(given, "shape", length) for length in given["shape"])
        if len(shape) != 2:
            raise ValueError(f"shape of {len(shape)} dimensions")
        nested = "nested_blocksize" in given
        return _State(
            shape=(shape[0], shape[1]),
            block=_count(given, "blocksize"),
            dtype=_COMPUTED_IN[given["dtype"]],
            nested_block=_count(given, "nested_blocksize") if nested else 0,
            nested_offset=float(given["nested_offset"]) if nested else 0.0,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise parts.malformed(f"{name} does not say how it was packed ({ascii(str(error))[:80]})") from error


def _count(given: dict[str, Any], key: str, value: object = None) -> int:
    value = given[key] if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 40:
        raise ValueError(f"{key} {json.dumps(value)[:40]}")
    return value


def _absmax(parts: ModuleParts, state: _State) -> FloatArray:
    if not state.nested_block:
        return parts.read("weight.absmax").floats()
    codes = parts.read("weight.absmax").array()
    coarse = parts.read("weight.nested_absmax").floats()[np.arange(codes.size) // state.nested_block]
    fine: FloatArray = parts.read("weight.nested_quant_map").floats()[codes] * coarse
    fine += np.float32(state.nested_offset)
    return fine


def _rounded(values: FloatArray, dtype: str) -> FloatArray:
    if dtype == "F32":
        return values
    if dtype == "F16":
        with np.errstate(all="ignore"):
            return values.astype(np.float16).astype(np.float32)
    bits = values.view(np.uint32)
    # to nearest, ties to even; a NaN stays one
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    kept = np.where(np.isnan(values), bits, rounded).astype("<u4")
    return RawTensor("F32", values.shape, kept.tobytes()).floats()
