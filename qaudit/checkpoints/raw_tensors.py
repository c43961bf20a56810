"""A tensor as it lies in a file: its bytes, shape and stored type; and plain floats out of them.

8-bit floats follow the OCP 8-bit Floating Point Specification 1.0 (E4M3 without infinities, E5M2)
and the Microscaling one (E8M0, powers of two); numpy has no type for them nor for bfloat16.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qaudit.errors import InputError

FloatArray = NDArray[np.float32]
BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "I64": 64, "I32": 32, "I16": 16, "I8": 8,
    "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "C64": 64,
}  # fmt: skip
_NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "<u1",
    # as bit patterns
    "BF16": "<u2", "F8_E4M3": "<u1", "F8_E5M2": "<u1", "F8_E8M0": "<u1",
}  # fmt: skip
_PLAIN_FLOATS = {"F64", "F32", "F16"}


@dataclass(frozen=True, slots=True)
class RawTensor:
    """Bytes of a tensor, row after row.

    Attributes:
        dtype: safetensors' name of the stored type.
        shape: outermost first.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def array(self) -> NDArray[Any]:
        """Return the values as they are stored; types that numpy lacks come as unsigned bit patterns.

        Raises:
            InputError: values of 4 or 6 bits, or complex ones.
        """
        kind = _NUMPY.get(self.dtype)
        if kind is None:
            raise InputError(f"values of type {self.dtype} are not read here; convert the checkpoint")
        return np.frombuffer(self.data, kind).reshape(self.shape)

    def floats(self) -> FloatArray:
        """Return the values as float32.

        Raises:
            InputError: the tensor does not hold floats.
        """
        values = self.array()
        result: FloatArray
        if self.dtype in _PLAIN_FLOATS:
            # hostile weights overflow or are NaN: that is for who asked to judge, not for a warning
            with np.errstate(all="ignore"):
                result = values.astype(np.float32)
        elif self.dtype == "BF16":
            # a bfloat16 is the upper half of a float32
            result = (values.astype(np.uint32) << 16).view(np.float32)
        elif self.dtype.startswith("F8_"):
            result = float8_table(self.dtype)[values]
        else:
            raise InputError(f"a tensor of type {self.dtype} stands where floats should; download it again")
        return result


@functools.cache
def float8_table(dtype: str) -> FloatArray:
    """Return the value of each of the 256 bit patterns of an 8-bit float.

    Shapes:
        float32 [256].
    """
    code = np.arange(256)
    if dtype == "F8_E8M0":
        return _float32(np.where(code == 255, np.nan, np.ldexp(1.0, code - 127)))
    exponent_bits, bias = (4, 7) if dtype == "F8_E4M3" else (5, 15)
    mantissa_bits = 7 - exponent_bits
    sign = np.where(code & 0x80, -1.0, 1.0)
    exponent = (code >> mantissa_bits) & ((1 << exponent_bits) - 1)
    fraction = (code & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    subnormal = exponent == 0
    table = sign * np.ldexp(fraction + ~subnormal, np.where(subnormal, 1, exponent) - bias)
    if dtype == "F8_E4M3":
        table[(code & 0x7F) == 0x7F] = np.nan
    else:
        top = exponent == 31
        table[top] = np.where(fraction[top] > 0, np.nan, sign[top] * np.inf)
    return _float32(table)


def _float32(table: NDArray[np.float64]) -> FloatArray:
    values: FloatArray = table.astype(np.float32)
    return values
