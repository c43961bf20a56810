"""How much of its codes a quantized matrix uses: the entropy of their histogram.

Weights that were made to collapse under rounding (a few outliers a group, so that nearly all others get the
code of zero) leave far fewer bits than the 3.5 to 3.9 of four that bell-shaped weights leave.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from realign.grids.grid import Encoded
from realign.grids.superblock_layouts import LAYOUTS
from realign.grids.superblock_packing import unpacked
from realign.kernels.code_histogram import code_histogram, entropy_bits
from realign.quantized_linear import QuantizedLinear
from realign.superblock_linear import SuperblockLinear

CODES_AT_ONCE = 1 << 22


def code_entropies(encoded: Mapping[str, Encoded]) -> dict[str, float]:
    """Return the entropy of each matrix's codes, bits a code, by module.

    Args:
        encoded: matrices; those of lookup tables and floats, which have no codes here, are left out.
    """
    counts = {name: _counts(each) for name, each in encoded.items()}
    return {name: float(entropy_bits(found)) for name, found in counts.items() if found is not None}


def _counts(encoded: Encoded) -> Tensor | None:
    """Return how often each code occurs in a matrix: int64 [2^bits]."""
    if isinstance(encoded, QuantizedLinear):
        return code_histogram(encoded.codes, encoded.bits).sum(dim=0)
    if not isinstance(encoded, SuperblockLinear) or encoded.ggml_type not in LAYOUTS:
        return None
    layout = LAYOUTS[encoded.ggml_type]
    counts = torch.zeros(1 << layout.bits, dtype=torch.int64, device=encoded.rows.device)
    # unpacked codes take eight bytes each
    for rows in torch.split(encoded.rows, max(1, CODES_AT_ONCE // encoded.columns)):
        codes = unpacked(layout, rows).codes.flatten(1) & ((1 << layout.bits) - 1)
        counts += code_histogram(codes.to(torch.uint8), layout.bits).sum(dim=0)
    return counts
