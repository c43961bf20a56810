"""compressed-tensors, packed by its own library: `pack-quantized` integers by group."""

from typing import Any

import torch
from torch import Tensor

from qaudit.errors import InputError, MissingExtra
from realign.quantized_linear import QuantizedLinear
from realign.solvers.group_grid import GroupGrid

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

FORMAT = "pack-quantized"


def compressed_tensors(linear: QuantizedLinear, grid: GroupGrid) -> dict[str, Tensor]:
    """Return the parts of one module: weight_packed, weight_scale, weight_shape and, without symmetry, zeros.

    The library rounds the weights itself; they lie on the grid already, so that it finds the same codes.

    Raises:
        InputError: shuffled inputs, or codes that the library reads otherwise.
    """
    if not linear.in_order:
        raise InputError("shuffled inputs do not fit compressed-tensors here; use static act-order or none")
    scheme = _scheme(grid)
    compressor: Any = BaseCompressor.get_value_from_registry(FORMAT)
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


def compressed_tensors_config(grid: GroupGrid) -> dict[str, Any]:
    """Return the quantization_config; every linear layer but the head is packed."""
    config = QuantizationConfig(
        config_groups={"group_0": _scheme(grid)},
        format=FORMAT,
        quantization_status=QuantizationStatus.COMPRESSED,
        ignore=["lm_head"],
    )
    described: dict[str, Any] = config.model_dump(mode="json")
    return described


def _scheme(grid: GroupGrid) -> QuantizationScheme:
    by_group = grid.group_size != -1
    weights = QuantizationArgs(
        num_bits=grid.bits,
        type="int",
        symmetric=grid.symmetric,
        strategy="group" if by_group else "channel",
        group_size=grid.group_size if by_group else None,
    )
    return QuantizationScheme(targets=["Linear"], weights=weights, format=FORMAT)
