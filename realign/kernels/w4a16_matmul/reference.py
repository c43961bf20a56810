"""A product with a matrix of 4-bit codes, in plain torch.

    weight[o, i] = (codes[o, i] - zeros[o, g]) * scales[o, g],  g = i // (I / G)
    y = x weight^T

in float32 with exact weights: a difference of codes has five bits and a scale eleven.
"""

import torch
from torch import Tensor

from realign.kernels.int4_packing.reference import unpacked_gptq


def decoded(words: Tensor, zeros: Tensor, scales: Tensor) -> Tensor:
    """Return the weights: float32 [O, I].

    Shapes:
        words int32 [I/8, O], as GPTQ packs them; zeros uint8 and scales float16 [G, O].
    """
    codes = unpacked_gptq(words)
    outputs, groups = len(codes), len(scales)
    steps = codes.reshape(outputs, groups, -1).float() - zeros.T.float()[:, :, None]
    return (steps * scales.T.float()[:, :, None]).reshape(codes.shape)


def matmul(x: Tensor, words: Tensor, zeros: Tensor, scales: Tensor) -> Tensor:
    """Return x weight^T, summed in float32, in x's type.

    Shapes:
        x [M, I]; returns [M, O].
    """
    return torch.matmul(x.float(), decoded(words, zeros, scales).T).to(x.dtype)
