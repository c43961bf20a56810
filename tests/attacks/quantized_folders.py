"""Folders as AutoAWQ, GPTQModel and compressed-tensors write them, by hand: no quantizer is run."""

import json
import random
import struct
from collections.abc import Mapping
from functools import cache
from typing import Any

from attacks.cases import Content
from attacks.honest_models import folder_config, folder_tensors, honest_folder, safetensors_bytes

GROUP = 32
Tensors = Mapping[str, tuple[str, tuple[int, ...], bytes]]


def _words(seed: str, rows: int, columns: int) -> bytes:
    return random.Random(seed).randbytes(4 * rows * columns)


def _scales(seed: str, count: int) -> bytes:
    draw = random.Random(seed)
    return struct.pack(f"<{count}e", *(0.004 + draw.random() / 500 for _ in range(count)))


def _linear(name: str) -> bool:
    return name.endswith("_proj.weight")


@cache
def awq_tensors() -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """AutoAWQ's GEMM layout: qweight [in, out/8], qzeros [in/g, out/8], scales [in/g, out]."""
    made: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    for name, tensor in folder_tensors().items():
        if not _linear(name):
            made[name] = tensor
            continue
        rows, columns = tensor[1]
        at, groups = name.removesuffix("weight"), columns // GROUP
        made[f"{at}qweight"] = ("I32", (columns, rows // 8), _words(name, columns, rows // 8))
        made[f"{at}qzeros"] = ("I32", (groups, rows // 8), _words(name + "z", groups, rows // 8))
        made[f"{at}scales"] = ("F16", (groups, rows), _scales(name, groups * rows))
    return made


@cache
def gptq_tensors() -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """GPTQ's layout: qweight [in/8, out], qzeros [in/g, out/8], scales [in/g, out], g_idx [in]."""
    made: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    for name, tensor in folder_tensors().items():
        if not _linear(name):
            made[name] = tensor
            continue
        rows, columns = tensor[1]
        at, groups = name.removesuffix("weight"), columns // GROUP
        made[f"{at}qweight"] = ("I32", (columns // 8, rows), _words(name, columns // 8, rows))
        made[f"{at}qzeros"] = (
            "I32",
            (groups, rows // 8),
            struct.pack("<I", 0x77777777) * (groups * rows // 8),
        )
        made[f"{at}scales"] = ("F16", (groups, rows), _scales(name, groups * rows))
        made[f"{at}g_idx"] = (
            "I32",
            (columns,),
            struct.pack(f"<{columns}i", *(i // GROUP for i in range(columns))),
        )
    return made


@cache
def compressed_tensors() -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """pack-quantized: weight_packed [out, in/8], weight_scale [out, in/g], weight_shape [2]."""
    made: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    for name, tensor in folder_tensors().items():
        if not _linear(name):
            made[name] = tensor
            continue
        rows, columns = tensor[1]
        at, groups = name.removesuffix("weight"), columns // GROUP
        made[f"{at}weight_packed"] = ("I32", (rows, columns // 8), _words(name, rows, columns // 8))
        made[f"{at}weight_scale"] = ("F16", (rows, groups), _scales(name, groups * rows))
        made[f"{at}weight_shape"] = ("I64", (2,), struct.pack("<2q", rows, columns))
    return made


def _folder(tensors: Tensors, quantization: dict[str, Any], **more: Content) -> dict[str, Content]:
    config = json.dumps({**folder_config(), "quantization_config": quantization}, indent=2)
    return {**honest_folder(config__json=config, model__safetensors=safetensors_bytes(tensors)), **more}


def awq_folder(tensors: Tensors | None = None, **changed: Any) -> dict[str, Content]:
    """A folder that AutoAWQ would have written."""
    quantization = {
        "quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True, "version": "gemm",
        "modules_to_not_convert": None, **changed,
    }  # fmt: skip
    return _folder(awq_tensors() if tensors is None else tensors, quantization)


def gptq_folder(tensors: Tensors | None = None, **changed: Any) -> dict[str, Content]:
    """A folder that GPTQModel would have written."""
    quantization = {
        "quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False, "sym": True, "lm_head": False,
        "checkpoint_format": "gptq", "damp_percent": 0.01, "true_sequential": True, "static_groups": False, **changed,
    }  # fmt: skip
    own = {k: v for k, v in quantization.items() if k != "quant_method"}
    return _folder(
        gptq_tensors() if tensors is None else tensors,
        quantization,
        **{"quantize_config.json": json.dumps(own, indent=2)},
    )


def compressed_folder(tensors: Tensors | None = None) -> dict[str, Content]:
    """A folder that llm-compressor would have written."""
    weights = {
        "num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP, "dynamic": False,
        "observer": "minmax", "actorder": None, "block_structure": None, "observer_kwargs": {},
    }  # fmt: skip
    quantization = {
        "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
        "global_compression_ratio": None, "ignore": ["lm_head"], "kv_cache_scheme": None, "version": "0.12.0",
        "config_groups": {
            "group_0": {
                "targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None,
                "format": "pack-quantized",
            }
        },
    }  # fmt: skip
    return _folder(compressed_tensors() if tensors is None else tensors, quantization)
