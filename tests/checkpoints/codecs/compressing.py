"""Matrices that compressed-tensors compresses itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from checkpoints.by_hand import Stored

torch = pytest.importorskip("torch")
pytest.importorskip("compressed_tensors")

from compressed_tensors.compressors import BaseCompressor  # noqa: E402
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme  # noqa: E402
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam  # noqa: E402

NAMES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32",
    torch.int8: "I8", torch.uint8: "U8", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e8m0fnu: "F8_E8M0",
}  # fmt: skip
GROUP = {"strategy": "group", "group_size": 32}


@dataclass
class Compressed:
    """A matrix as the library stores it, and what it reads back from that."""

    config: dict[str, Any]
    parts: dict[str, Stored]
    weight: np.ndarray
    theirs: np.ndarray


def compressed(
    layout: str, weights: dict[str, Any], outputs: int, inputs: int, dtype: torch.dtype = torch.bfloat16
) -> Compressed:
    generator = torch.Generator().manual_seed(outputs * inputs)
    weight = (torch.randn(outputs, inputs, generator=generator) * 0.1 + 0.03).to(dtype)
    args = QuantizationArgs(**weights)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    state: dict[str, torch.Tensor] = {"weight": weight}
    blocks = in_blocks(weight, args)
    low, high = blocks.amin(dim=(-1, -3)), blocks.amax(dim=(-1, -3))
    if args.strategy in ("tensor", "channel"):
        low, high = low.reshape(-1, 1), high.reshape(-1, 1)
    if args.strategy == "tensor":
        low, high = low.reshape(1), high.reshape(1)
    if args.strategy == "tensor_group":
        state["weight_global_scale"] = generate_gparam(weight.amin(), weight.amax())
    state["weight_scale"], state["weight_zero_point"] = calculate_qparams(
        low, high, args, global_scale=state.get("weight_global_scale")
    )
    compressor = BaseCompressor.get_value_from_registry(layout)
    parts = compressor.compress(state, scheme)
    theirs = compressor.decompress(parts, scheme)["weight"]
    config = {
        "quant_method": "compressed-tensors",
        "format": layout,
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }
    entries = {name: of_torch(tensor) for name, tensor in parts.items()}
    return Compressed(config, entries, weight.float().numpy(), theirs.float().numpy())


def in_blocks(weight: torch.Tensor, args: QuantizationArgs) -> torch.Tensor:
    """Blocks that share a scale, as [blocks of outputs, outputs, blocks of inputs, inputs]."""
    outputs, inputs = weight.shape
    tall, wide = {
        "tensor": (outputs, inputs),
        "channel": (1, inputs),
        "group": (1, args.group_size),
        "tensor_group": (1, args.group_size),
        "block": tuple(args.block_structure or ()),
    }[str(getattr(args.strategy, "value", args.strategy))]  # fmt: skip
    padded = torch.nn.functional.pad(weight, (0, -inputs % wide, 0, -outputs % tall))
    return padded.reshape(padded.shape[0] // tall, tall, padded.shape[1] // wide, wide)


def of_torch(tensor: torch.Tensor) -> Stored:
    flat = tensor.detach().flatten().clone(memory_format=torch.contiguous_format)
    return NAMES[tensor.dtype], tuple(tensor.shape), flat.view(torch.uint8).numpy().tobytes()


def ints(bits: int, **more: Any) -> dict[str, Any]:
    return {"num_bits": bits, "type": "int", "symmetric": True, **more}
