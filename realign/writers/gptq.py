"""GPTQ versions 1 and 2, as AutoGPTQ and GPTQModel write them.

`qweight` int32 [I*b/32, O], packed along the inputs; `qzeros` int32 [G, O*b/32], packed along the outputs,
in version 1 less one; `scales` float16 [G, O]; `g_idx` int32 [I], the group of each input.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from qaudit.errors import InputError
from realign.grids.group_grid import GroupGrid
from realign.kernels.int4_packing import pack_gptq
from realign.quantized_linear import QuantizedLinear
from realign.solvers.gptq import GptqOptions
from realign.writers.word_packing import SUPPORTED_BITS, as_words, packed

KERNEL_BITS = 4  # packed by realign.kernels
CODES_TOGETHER = 32  # of these every number of bits fills whole words
GptqVersion = Literal["gptq", "gptq_v2"]


def version_for(grid: GroupGrid) -> GptqVersion:
    """Return the version that every reader decodes alike.

    Symmetric zeros are never 0, and all readers know version 1. In version 1 a zero of 0 is stored as
    -1, which readers make 2^bits of or 0: with a zero for each group, version 2 leaves no choice.
    """
    return "gptq" if grid.symmetric else "gptq_v2"


def gptq_tensors(linear: QuantizedLinear, version: GptqVersion = "gptq") -> dict[str, Tensor]:
    """Return the parts of one module.

    Raises:
        InputError: a number of bits that the format has not, or sizes that do not fill whole words.
    """
    outputs, inputs = linear.codes.shape
    if linear.bits not in SUPPORTED_BITS or inputs % CODES_TOGETHER or outputs % CODES_TOGETHER:
        raise InputError(
            f"{outputs}x{inputs} at {linear.bits} bits does not fit GPTQ: 2, 3, 4 or 8 bits, sizes by 32"
        )
    return {
        "qweight": _packed(linear.codes, linear.bits).T.contiguous(),
        "qzeros": _zeros_less_one(linear) if version == "gptq" else _packed(linear.zeros.T, linear.bits),
        "scales": linear.scales.T.contiguous(),
        "g_idx": linear.group_of.to(torch.int32),
    }


def gptq_config(options: GptqOptions, version: GptqVersion = "gptq") -> dict[str, Any]:
    """Return the quantization_config; every linear layer but the head is packed."""
    return {
        "quant_method": "gptq",
        "checkpoint_format": version,
        "bits": options.grid.bits,
        "group_size": options.grid.group_size,
        "sym": options.grid.symmetric,
        "desc_act": options.act_order == "shuffled",
        "static_groups": options.act_order == "static",
        "damp_percent": options.dampening,
        "true_sequential": True,
        "lm_head": False,
        "pack_dtype": "int32",
    }


def _packed(codes: Tensor, bits: int) -> Tensor:
    """Return int32 [R, N*b/32] of codes uint8 [R, N], packed along the rows."""
    return pack_gptq(codes).T.contiguous() if bits == KERNEL_BITS else packed(codes, bits)


def _zeros_less_one(linear: QuantizedLinear) -> Tensor:
    zeros = linear.zeros.T
    if linear.bits == 3:
        return packed((zeros + 7) & 7, 3)
    # one is taken from all codes of a word at once: a zero of 0 borrows, and the reader gives it back
    ones = sum(1 << bit for bit in range(0, 32, linear.bits))
    return as_words(_packed(zeros, linear.bits).long() - ones)
