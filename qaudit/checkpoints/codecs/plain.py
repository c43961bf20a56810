"""A matrix stored as floats, with no scale of its own."""

import math

from qaudit.checkpoints.codecs.module_parts import ModuleParts
from qaudit.checkpoints.raw_tensors import FloatArray


class Plain:
    """`weight` as F64, F32, F16, BF16 or an 8-bit float; a vector is one row, leading dimensions are rows."""

    def shape(self, parts: ModuleParts) -> tuple[int, int]:
        """Return (rows, columns); see `Codec`."""
        shape = parts.shape("weight")
        return math.prod(shape[:-1]), shape[-1] if shape else 1

    def rows(self, parts: ModuleParts, start: int, stop: int) -> FloatArray:
        """Decode rows; see `Codec`."""
        rows, columns = self.shape(parts)
        if len(parts.shape("weight")) == 2:
            return parts.read("weight", start, stop).floats()
        return parts.read("weight").floats().reshape(rows, columns)[start:stop]
