"""compressed-tensors, packed by its own library: `pack-quantized` integers by group, or w8a8.

w8a8 is `int-quantized`: 8-bit weights with a scale an output, and inputs rounded to 8 bits as they come,
each token with a scale of its own.
"""

from typing import Any

import torch
from torch import Tensor

from qaudit.errors import InputError, MissingExtra
from realign.grids.group_grid import GroupGrid
from realign.quantized_linear import QuantizedLinear

try:
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationConfig,
        QuantizationScheme,
        QuantizationStatus,
    )
except ImportError as error:
    raise MissingExtra("compressed-tensors", "hf") from error

PACKED, PLAIN = "pack-quantized", "int-quantized"
INPUT_BITS = 8


def compressed_tensors(
    linear: QuantizedLinear, grid: GroupGrid, *, eight_bit_inputs: bool = False
) -> dict[str, Tensor]:
    """Return the parts of one module: weight_packed, weight_scale, weight_shape and, without symmetry, zeros.

    The library rounds the weights itself; they lie on the grid already, so that it finds the same codes.

    Args:
        linear: the module.
        grid: that it lies on.
        eight_bit_inputs: w8a8: `weight` holds the integers as they are.

    Raises:
        InputError: shuffled inputs, or codes that the library reads otherwise.
    """
    if not linear.in_order:
        raise InputError("shuffled inputs do not fit compressed-tensors here; use static act-order or none")
    scheme = _scheme(grid, eight_bit_inputs)
    compressor: Any = BaseCompressor.get_value_from_registry(PLAIN if eight_bit_inputs else PACKED)
    middle = 1 << (linear.bits - 1)
    state = {
        "weight": linear.weight(),
        "weight_scale": linear.scales.clone(),
        "weight_zero_point": (linear.zeros.to(torch.int16) - middle).to(torch.int8),
    }
    parts: dict[str, Tensor] = dict(compressor.compress(dict(state), scheme))
    if grid.symmetric:
        parts.pop("weight_zero_point", None)
    back = compressor.decompress(dict(parts), scheme)["weight"]
    # it decodes in the type of the scales
    if not torch.equal(back, linear.weight().to(linear.scales.dtype)):
        raise InputError("compressed-tensors reads other weights than were meant; are the scales too small?")
    return {name: part.contiguous() for name, part in parts.items()}


def compressed_tensors_config(grid: GroupGrid, *, eight_bit_inputs: bool = False) -> dict[str, Any]:
    """Return the quantization_config; every linear layer but the head is packed."""
    scheme = _scheme(grid, eight_bit_inputs)
    config = QuantizationConfig(
        config_groups={"group_0": scheme},
        format=PLAIN if eight_bit_inputs else PACKED,
        quantization_status=QuantizationStatus.COMPRESSED,
        ignore=["lm_head"],
    )
    described: dict[str, Any] = config.model_dump(mode="json")
    return described


def _scheme(grid: GroupGrid, eight_bit_inputs: bool) -> QuantizationScheme:
    by_group = grid.group_size != -1
    weights = QuantizationArgs(
        num_bits=grid.bits,
        type="int",
        symmetric=grid.symmetric,
        strategy="group" if by_group else "channel",
        group_size=grid.group_size if by_group else None,
    )
    if not eight_bit_inputs:
        return QuantizationScheme(targets=["Linear"], weights=weights, format=PACKED)
    if (grid.bits, grid.group_size, grid.symmetric) != (INPUT_BITS, -1, True):
        raise InputError("w8a8 takes weights of 8 bits with one scale an output, without zeros")
    inputs = QuantizationArgs(num_bits=INPUT_BITS, type="int", symmetric=True, strategy="token", dynamic=True)
    return QuantizationScheme(targets=["Linear"], weights=weights, input_activations=inputs, format=PLAIN)
