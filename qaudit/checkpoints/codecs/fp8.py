"""8-bit floats with a scale for the tensor, each output, or each block of outputs and inputs.

`weight` F8 [O, I] with `weight_scale` (or `weight_scale_inv`, which despite its name is multiplied
too): one value, [O], [O, 1], or one for each block as DeepSeek-V3 introduced (arXiv 2412.19437).
"""

from dataclasses import dataclass

import numpy as np

from qaudit.checkpoints.codecs.module_parts import FLOATS, ModuleParts
from qaudit.checkpoints.raw_tensors import FloatArray

STORED = frozenset({"F8_E4M3", "F8_E5M2"})


@dataclass(frozen=True, slots=True)
class Fp8:
    """A matrix of 8-bit floats.

    Attributes:
        block: (outputs, inputs) that share a scale where there are blocks.
    """

    block: tuple[int, int] = (128, 128)

    def shape(self, parts: ModuleParts) -> tuple[int, int]:
        """Return (outputs, inputs); see `Codec`."""
        parts.require("weight", STORED, (None, None))
        outputs, inputs = parts.shape("weight")
        name = _scale(parts)
        shape, dtype = parts.shape(name), parts.dtype(name)
        blocks = (-(-outputs // self.block[0]), -(-inputs // self.block[1]))
        if dtype not in FLOATS or shape not in {(), (1,), (1, 1), (outputs,), (outputs, 1), blocks}:
            have = "x".join(map(str, shape))
            raise parts.malformed(f"{name} is {dtype} {have}, which fits no way to scale {outputs}x{inputs}")
        return outputs, inputs

    def rows(self, parts: ModuleParts, start: int, stop: int) -> FloatArray:
        """Decode rows; see `Codec`."""
        outputs, inputs = parts.shape("weight")
        weights = parts.read("weight", start, stop).floats()
        scale = parts.read(_scale(parts)).floats()
        if scale.size == 1:
            factor = scale.reshape(1, 1)
        elif scale.size == outputs and scale.shape[0] == outputs:
            factor = scale.reshape(-1, 1)[start:stop]
        else:
            of_row = np.arange(start, stop) // self.block[0]
            factor = scale[of_row[:, None], np.arange(inputs) // self.block[1]]
        with np.errstate(all="ignore"):
            return weights * factor


def _scale(parts: ModuleParts) -> str:
    return "weight_scale_inv" if "weight_scale_inv" in parts else "weight_scale"
