"""Small unsigned codes -> 32-bit words: what `qaudit.checkpoints.codecs.bit_packing` takes apart."""

import torch
from torch import Tensor

SUPPORTED_BITS = (2, 3, 4, 8)


def packed(codes: Tensor, bits: int) -> Tensor:
    """Pack codes along the last axis, from the lowest bit of the first word; the last word ends in zeros.

    With 3 bits a code may straddle two words.

    Shapes:
        codes uint8 [R, N], each below 2^bits; returns int32 [R, ceil(N * bits / 32)].
    """
    rows, count = codes.shape
    bit = torch.arange(bits, device=codes.device)
    spread = (codes.long()[:, :, None] >> bit) & 1
    stream = spread.reshape(rows, count * bits)
    stream = torch.nn.functional.pad(stream, (0, -stream.shape[1] % 32))
    place = torch.arange(32, device=codes.device)
    return as_words((stream.reshape(rows, -1, 32) << place).sum(dim=-1))


def as_words(values: Tensor) -> Tensor:
    """Return int64 values below 2^32 (or what is left of them modulo 2^32) as int32 bit patterns."""
    values = values & 0xFFFFFFFF
    return torch.where(values >= 1 << 31, values - (1 << 32), values).to(torch.int32)
