"""Write the files in this folder with AutoAWQ's and bitsandbytes' own code.

Run by hand, with a Python that has torch, safetensors, bitsandbytes 0.50 and autoawq 0.2 (the latter
installed with --no-deps: only its packing is used). Tests read what is here and need none of them.
"""

import functools
import importlib.util
import sys
import types
from pathlib import Path

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent


@functools.cache
def autoawq() -> tuple[types.ModuleType, types.ModuleType, types.ModuleType]:
    """Import AutoAWQ's packers without the packages' own imports, which want a GPU and old transformers."""
    root = Path(importlib.util.find_spec("awq").submodule_search_locations[0])
    for name in ("awq", "awq.utils", "awq.modules", "awq.modules.linear"):
        module = types.ModuleType(name)
        module.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module
    # asks accelerate for the best device
    devices = types.ModuleType("awq.utils.utils")
    devices.get_best_device = lambda: "cpu"
    sys.modules[devices.__name__] = devices
    from awq.modules.linear import gemm, gemv
    from awq.utils import packing_utils

    return gemm, gemv, packing_utils


def awq(name: str, outputs: int, inputs: int, group: int) -> None:
    """One matrix in both layouts, and what AutoAWQ decodes from the first."""
    gemm, gemv, packing = autoawq()
    generator = torch.Generator().manual_seed(outputs + inputs)
    groups = inputs // group
    zeros = torch.randint(0, 16, (outputs, groups), generator=generator)
    scales = (torch.rand(outputs, groups, generator=generator) * 0.02 + 0.001).half()
    codes = torch.randint(0, 16, (outputs, inputs), generator=generator)
    spread = lambda values: values.repeat_interleave(group, dim=1)  # noqa: E731
    linear = torch.nn.Linear(inputs, outputs, bias=False)
    linear.weight.data = (codes - spread(zeros)).float() * spread(scales).float()
    by_input = gemm.WQLinear_GEMM.from_linear(
        linear, 4, group, scales=scales.t().contiguous().float(), zeros=zeros.t().contiguous().float()
    )
    by_output = gemv.WQLinear_GEMV.from_linear(linear, 4, group, scales=scales.float(), zeros=zeros.float())
    # with scales in float32 the product is exact
    decoded = packing.dequantize_gemm(
        by_input.qweight, by_input.qzeros, by_input.scales.float(), 4, group
    ).t()
    assert torch.equal(decoded, linear.weight.data)
    tensors = {"decoded": decoded}
    for layout, module in (("gemm", by_input), ("gemv", by_output)):
        for part in ("qweight", "qzeros", "scales"):
            tensors[f"{layout}.{part}"] = getattr(module, part)
    save({key: value.contiguous() for key, value in tensors.items()}, f"awq_{name}.safetensors")


def four_bit() -> None:
    """nf4 and fp4, with and without double quantization, in three types."""
    tensors: dict[str, torch.Tensor] = {}
    for kind in ("nf4", "fp4"):
        for nested in (False, True):
            for dtype in (torch.float16, torch.bfloat16, torch.float32):
                # 6 x 37 is no whole number of blocks; with double quantization over 256 blocks would be large
                rows, columns = 6, 37
                generator = torch.Generator().manual_seed(len(tensors))
                weight = (torch.randn(rows, columns, generator=generator) * 0.05).to(dtype)
                add_four_bit(tensors, f"{kind}.{'double' if nested else 'single'}", weight, kind, nested, 64)
    save(tensors, "bnb_4bit.safetensors")


def four_bit_more() -> None:
    """Over 256 blocks, an odd number of weights, and zeros, which have no largest magnitude."""
    generator = torch.Generator().manual_seed(9)
    tensors: dict[str, torch.Tensor] = {}
    weight = (torch.randn(65, 130, generator=generator) * 0.05).bfloat16()
    add_four_bit(tensors, "many", weight, "nf4", True, 32)
    save(tensors, "bnb_4bit_many.safetensors")
    tensors = {}
    for nested in (False, True):
        weight = torch.randn(5, 29, generator=generator).half()
        add_four_bit(tensors, f"odd.{'double' if nested else 'single'}", weight, "nf4", nested, 64)
    save(tensors, "bnb_4bit_odd.safetensors")
    tensors = {}
    weight = torch.randn(4, 64, generator=generator)
    weight[1] = 0
    weight[2] *= 1e-30
    weight[3] *= 1e30
    for kind in ("nf4", "fp4"):
        add_four_bit(tensors, kind, weight, kind, False, 64)
    save(tensors, "bnb_4bit_extreme.safetensors")


def add_four_bit(
    tensors: dict[str, torch.Tensor], name: str, weight: torch.Tensor, kind: str, nested: bool, block: int
) -> None:
    packed, state = bnb.quantize_4bit(weight, blocksize=block, compress_statistics=nested, quant_type=kind)
    name = f"{name}.{str(weight.dtype).removeprefix('torch.')}"
    tensors[f"{name}.weight"] = packed
    for part, value in state.as_dict(packed=True).items():
        tensors[f"{name}.weight.{part}"] = value.clone()
    tensors[f"decoded.{name}"] = bnb.dequantize_4bit(packed, state)


def eight_bit() -> None:
    """LLM.int8() without outliers, as Linear8bitLt stores its weights."""
    weight = (torch.randn(9, 31, generator=torch.Generator().manual_seed(3)) * 0.05).half()
    weight[4] = 0
    codes, largest, _ = bnb.int8_vectorwise_quant(weight)
    save(
        {
            "int8.weight": codes,
            "int8.SCB": largest,
            "int8.weight_format": torch.tensor(0, dtype=torch.uint8),
            "decoded.int8": bnb.int8_vectorwise_dequant(codes, largest),
        },
        "bnb_int8.safetensors",
    )


def save(tensors: dict[str, torch.Tensor], name: str) -> None:
    save_file(tensors, HERE / name)
    (HERE / name).chmod(0o644)
    print(name, (HERE / name).stat().st_size)  # noqa: T201


if __name__ == "__main__":
    awq("32x128", 32, 128, 32)
    awq("32x64", 32, 64, 64)
    four_bit()
    four_bit_more()
    eight_bit()
