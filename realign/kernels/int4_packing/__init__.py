"""Codes of four bits in the layouts of AWQ, GPTQ and ggml's Q4_K: packed and unpacked, the same everywhere.

Of a code only its four lowest bits count, of a sub-scale six. Layouts are in `reference.py`.
"""

from types import ModuleType

import torch
from torch import Tensor

from qaudit.errors import InputError
from realign.kernels.int4_packing import reference
from realign.kernels.int4_packing.reference import BLOCK_BYTES, SUBBLOCKS, SUPERBLOCK, TOGETHER
from realign.kernels.launching import check_same_device, runs_on


def pack_awq(codes: Tensor) -> Tensor:
    """Return AWQ's words int32 [N, O/8] of codes uint8 [O, N].

    Raises:
        InputError: no bytes, or outputs that do not fill words.
    """
    _check(codes, torch.uint8, 0, TOGETHER)
    result: Tensor = _place(codes).packed_awq(codes.contiguous())
    return result


def unpack_awq(words: Tensor) -> Tensor:
    """Return codes uint8 [O, N] of AWQ's words int32 [N, O/8].

    Raises:
        InputError: no words.
    """
    _check(words, torch.int32, 1, 1)
    result: Tensor = _place(words).unpacked_awq(words.contiguous())
    return result


def pack_gptq(codes: Tensor) -> Tensor:
    """Return GPTQ's words int32 [I/8, O] of codes uint8 [O, I].

    Raises:
        InputError: no bytes, or inputs that do not fill words.
    """
    _check(codes, torch.uint8, 1, TOGETHER)
    result: Tensor = _place(codes).packed_gptq(codes.contiguous())
    return result


def unpack_gptq(words: Tensor) -> Tensor:
    """Return codes uint8 [O, I] of GPTQ's words int32 [I/8, O].

    Raises:
        InputError: no words.
    """
    _check(words, torch.int32, 1, 1)
    result: Tensor = _place(words).unpacked_gptq(words.contiguous())
    return result


def pack_q4_k(codes: Tensor, scales: Tensor, minima: Tensor, steps: Tensor) -> Tensor:
    """Return Q4_K superblocks uint8 [R, S * 144].

    Shapes:
        codes uint8 [R, S * 256]; scales and minima uint8 [R, S * 8]; steps float16 [R, S, 2], d and dmin.

    Raises:
        InputError: shapes, types or devices do not fit.
    """
    check_same_device(codes, scales, minima, steps)
    _check(codes, torch.uint8, 1, SUPERBLOCK)
    rows, count = len(codes), codes.shape[1] // SUPERBLOCK
    for part in (scales, minima):
        _check(part, torch.uint8, 1, SUBBLOCKS)
    expected = [(rows, count * SUBBLOCKS)] * 2 + [(rows, count, 2)]
    shapes = [tuple(each.shape) for each in (scales, minima, steps)]
    if shapes != expected or steps.dtype != torch.float16:
        raise InputError(f"scales, minima and float16 steps of {shapes}: {expected} belong to such codes")
    given = [each.contiguous() for each in (codes, scales, minima, steps)]
    result: Tensor = _place(codes).packed_q4_k(*given)
    return result


def unpack_q4_k(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return codes, scales, minima and steps, as `pack_q4_k` takes them, of superblocks uint8 [R, S * 144].

    Raises:
        InputError: no bytes, or no whole superblocks.
    """
    _check(blocks, torch.uint8, 1, BLOCK_BYTES)
    result: tuple[Tensor, Tensor, Tensor, Tensor] = _place(blocks).unpacked_q4_k(blocks.contiguous())
    return result


def _place(tensor: Tensor) -> ModuleType:
    if runs_on(tensor):
        from realign.kernels.int4_packing import kernel

        return kernel
    return reference


def _check(tensor: Tensor, dtype: torch.dtype, axis: int, multiple: int) -> None:
    if tensor.ndim != 2 or tensor.dtype != dtype or tensor.shape[axis] % multiple:
        raise InputError(
            f"{tensor.dtype} {tuple(tensor.shape)}: "
            f"a matrix of {dtype} by {multiple} along axis {axis} is needed"
        )
