"""How often each code occurs in each row, in plain torch."""

import torch
from torch import Tensor

ROWS_AT_ONCE = 1024


def histogram(stored: Tensor, bits: int, together: int) -> Tensor:
    """Return int64 [R, 2^bits].

    Shapes:
        stored uint8 [R, N], `together` codes a byte, each in as many bits.
    """
    width = 8 // together
    byte = torch.arange(256, device=stored.device)
    counts = torch.zeros(len(stored), 1 << bits, dtype=torch.int64, device=stored.device)
    for first in range(0, len(stored), ROWS_AT_ONCE):
        of_bytes = _of_bytes(stored[first : first + ROWS_AT_ONCE])
        # the low bits of a byte alone count where it holds one code
        for place in range(together):
            code = (byte >> (place * width)) & ((1 << bits) - 1)
            counts[first : first + len(of_bytes)].index_add_(1, code, of_bytes)
    return counts


def _of_bytes(stored: Tensor) -> Tensor:
    # [R, N] -> [R, 256]
    rows = len(stored)
    row = torch.arange(rows, device=stored.device, dtype=torch.int32)[:, None] << 8
    return torch.bincount((stored.int() + row).flatten(), minlength=rows << 8).reshape(rows, 256)
