"""How often codes occur, row by row, and what that says: exact counts, the same on every device."""

import math

import torch
from torch import Tensor

from qaudit.errors import InputError
from realign.kernels.code_histogram import reference
from realign.kernels.launching import runs_on


def code_histogram(codes: Tensor, bits: int) -> Tensor:
    """Return how often each code occurs in each row: int64 [R, 2^bits].

    Shapes:
        codes uint8 [R, N]; only the lowest `bits` bits of a byte count.

    Raises:
        InputError: no matrix of bytes, or a number of bits that codes of a byte have not.
    """
    return _histogram(codes, bits, 1)


def packed_histogram(stored: Tensor, bits: int) -> Tensor:
    """Return how often each code occurs in each row of packed codes: int64 [R, 2^bits].

    In which order codes are packed does not matter, so that words of AWQ and GPTQ will do.

    Shapes:
        stored uint8 [R, N] or int32 [R, N / 4]; 8 / bits codes a byte.

    Raises:
        InputError: no matrix of bytes or words, or not 1, 2, 4 or 8 bits.
    """
    if bits not in (1, 2, 4, 8):
        raise InputError(f"codes of {bits} bits do not fill bytes: give 1, 2, 4 or 8")
    if stored.ndim == 2 and stored.dtype == torch.int32:
        stored = stored.contiguous().view(torch.uint8)
    return _histogram(stored, bits, 8 // bits)


def entropy_bits(counts: Tensor) -> Tensor:
    """Return the entropy of codes, in bits a code: float64 [R] for counts [R, 2^bits]; 0 without codes."""
    share = counts.double() / counts.sum(dim=-1, keepdim=True).clamp(min=1)
    entropy: Tensor = torch.special.entr(share).sum(dim=-1)
    return entropy / math.log(2)


def _histogram(stored: Tensor, bits: int, together: int) -> Tensor:
    if stored.ndim != 2 or stored.dtype != torch.uint8 or not 1 <= bits <= 8:
        raise InputError(
            f"{stored.dtype} {tuple(stored.shape)} at {bits} bits: a matrix of bytes and 1 to 8 are needed"
        )
    stored = stored.contiguous()
    if runs_on(stored):
        from realign.kernels.code_histogram import kernel

        return kernel.histogram(stored, bits, together)
    return reference.histogram(stored, bits, together)
