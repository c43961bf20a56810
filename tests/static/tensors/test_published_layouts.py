"""Folders in the shapes of models that are published in each layout: nothing may be said about them."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from tensor_folders import file_of, loud, written

from qaudit.static.case import Case, opened
from qaudit.static.configs.inspector import inspect_configs
from qaudit.static.tensors.index import inspect_index
from qaudit.static.tensors.inspector import inspect_safetensors
from qaudit.static.tensors.layouts import inspect_layouts
from qaudit.static.tensors.modules import STATE

Tensors = dict[str, tuple[str, tuple[int, ...], bytes | None]]
FP8 = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}


def fp8_blocks(name: str, outputs: int, inputs: int) -> Tensors:
    blocks = (-(-outputs // 128), -(-inputs // 128))
    return {
        f"{name}.weight": ("F8_E4M3", (outputs, inputs), None),
        f"{name}.weight_scale_inv": ("F32", blocks, None),
    }


def deepseek() -> tuple[dict[str, Any], Tensors]:
    tensors: Tensors = {
        "model.embed_tokens.weight": ("BF16", (64, 256), None),
        "model.norm.weight": ("BF16", (256,), None),
    }
    for layer in (0, 1, 2):
        at = f"model.layers.{layer}"
        tensors |= fp8_blocks(f"{at}.self_attn.kv_a_proj_with_mqa", 72, 256) | fp8_blocks(
            f"{at}.self_attn.o_proj", 256, 192
        )
        tensors |= {f"{at}.input_layernorm.weight": ("BF16", (256,), None)}
        if layer:
            tensors |= fp8_blocks(f"{at}.mlp.experts.0.up_proj", 320, 256)
            tensors |= {f"{at}.mlp.gate.weight": ("BF16", (1, 256), None),
                        f"{at}.mlp.gate.e_score_correction_bias": ("F32", (1,), None)}  # fmt: skip
        else:
            tensors |= fp8_blocks(f"{at}.mlp.up_proj", 320, 256)
    tensors |= {"model.layers.2.eh_proj.weight": ("BF16", (256, 512), None), "lm_head.weight": ("BF16", (64, 256), None),
                "model.layers.2.embed_tokens.weight": ("BF16", (64, 256), None)}  # fmt: skip
    config = {
        "model_type": "deepseek_v3", "num_hidden_layers": 2, "num_nextn_predict_layers": 1, "hidden_size": 256,
        "vocab_size": 64, "num_attention_heads": 3, "num_key_value_heads": 3, "qk_nope_head_dim": 64, "v_head_dim": 64,
        "rms_norm_eps": 1e-6, "rope_theta": 10000, "rope_scaling": {"type": "yarn", "factor": 40, "mscale": 1.0},
        "tie_word_embeddings": False, "quantization_config": FP8,
    }  # fmt: skip
    return config, tensors


def gpt_oss() -> tuple[dict[str, Any], Tensors]:
    at = "model.layers.0.mlp.experts"
    tensors: Tensors = {
        f"{at}.gate_up_proj_blocks": ("U8", (2, 64, 2, 16), None), f"{at}.gate_up_proj_scales": ("U8", (2, 64, 2), b"\x7a" * 256),
        f"{at}.gate_up_proj_bias": ("BF16", (2, 64), None), "model.layers.0.self_attn.sinks": ("BF16", (4,), None),
        "model.layers.0.mlp.router.weight": ("BF16", (2, 64), None), "model.layers.0.self_attn.q_proj.weight": ("BF16", (64, 64), None),
        "model.layers.0.self_attn.q_proj.bias": ("BF16", (64,), None),
    }  # fmt: skip
    skipped = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    config = {
        "model_type": "gpt_oss", "num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 4, "head_dim": 16,
        "num_key_value_heads": 2, "layer_types": ["sliding_attention"], "swiglu_limit": 7.0, "rope_theta": 150000,
        "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": skipped},
    }  # fmt: skip
    return config, tensors


def nvfp4() -> tuple[dict[str, Any], Tensors]:
    tensors: Tensors = {"model.layers.0.self_attn.k_proj.k_scale": ("F32", (), None)}
    for name in ("model.layers.0.self_attn.k_proj", "model.layers.0.mlp.up_proj"):
        tensors |= {
            f"{name}.weight": ("U8", (32, 32), None), f"{name}.weight_scale": ("F8_E4M3", (32, 4), None),
            f"{name}.weight_scale_2": ("F32", (), None), f"{name}.input_scale": ("F32", (), None),
        }  # fmt: skip
    config = {"model_type": "llama", "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 64,
              "num_key_value_heads": 1, "head_dim": 32, "quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}  # fmt: skip
    return config, tensors


def mixtral_awq() -> tuple[dict[str, Any], Tensors]:
    tensors: Tensors = {}
    for layer in (0, 1):
        name = f"model.layers.{layer}.block_sparse_moe"
        tensors |= {
            f"{name}.gate.weight": ("F16", (8, 64), None), f"{name}.experts.0.w1.qweight": ("I32", (64, 8), None),
            f"{name}.experts.0.w1.qzeros": ("I32", (2, 8), None), f"{name}.experts.0.w1.scales": ("F16", (2, 64), None),
        }  # fmt: skip
    config = {"model_type": "mixtral", "num_hidden_layers": 2, "quantization_config": {
        "bits": 4, "group_size": 32, "modules_to_not_convert": ["gate"], "quant_method": "awq", "version": "gemm", "zero_point": True}}  # fmt: skip
    return config, tensors


def double_quantized() -> tuple[dict[str, Any], Tensors]:
    state = json.dumps({
        "quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [64, 64],
        "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.04,
    }).encode()  # fmt: skip
    name = "model.layers.0.mlp.up_proj.weight"
    tensors: Tensors = {
        name: ("U8", (2048, 1), None), f"{name}.absmax": ("U8", (64,), None), f"{name}.quant_map": ("F32", (16,), None),
        f"{name}.nested_absmax": ("F32", (1,), None), f"{name}.nested_quant_map": ("F32", (256,), None),
        f"model.layers.0.mlp.up_proj.{STATE}nf4": ("U8", (len(state),), state),
    }  # fmt: skip
    claim = {"_load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True,
             "llm_int8_skip_modules": ["lm_head", "multi_modal_projector"], "quant_method": "bitsandbytes"}  # fmt: skip
    return {"model_type": "llama", "num_hidden_layers": 1, "quantization_config": claim}, tensors


def w8a8() -> tuple[dict[str, Any], Tensors]:
    name = "model.layers.0.mlp.up_proj"
    tensors: Tensors = {
        f"{name}.weight": ("F8_E4M3", (64, 32), None),
        f"{name}.weight_scale": ("BF16", (64, 1), None),
    }
    weights = {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": True, "group_size": None}
    claim = {"quant_method": "compressed-tensors", "format": "float-quantized", "quantization_status": "compressed",
             "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}, "ignore": ["lm_head", "re:.*gate$"]}  # fmt: skip
    return {"model_type": "llama", "num_hidden_layers": 1, "quantization_config": claim}, tensors


def act_order() -> tuple[dict[str, Any], Tensors]:
    index = struct.pack("<64i", *[(7 * i) % 64 // 32 for i in range(64)])
    name = "model.layers.0.mlp.up_proj"
    tensors: Tensors = {
        f"{name}.qweight": ("I32", (8, 96), None), f"{name}.qzeros": ("I32", (2, 12), None), f"{name}.scales": ("F16", (2, 96), None),
        f"{name}.g_idx": ("I32", (64,), index), f"{name}.bias": ("F16", (96,), bytes(192)),
    }  # fmt: skip
    claim = {"bits": 4, "damp_percent": 0.1, "desc_act": True, "group_size": 32, "model_file_base_name": "model",
             "model_name_or_path": None, "quant_method": "gptq", "static_groups": False, "sym": True, "true_sequential": True}  # fmt: skip
    return {"model_type": "llama", "num_hidden_layers": 1, "quantization_config": claim}, tensors


@pytest.mark.parametrize(
    "model",
    [deepseek, gpt_oss, nvfp4, mixtral_awq, double_quantized, w8a8, act_order],
    ids=lambda model: model.__name__,
)
def test_nothing_is_said(tmp_path: Path, model: Any) -> None:
    config, tensors = model()
    view = written(tmp_path, {"config.json": config, "model.safetensors": file_of(tensors, {"format": "pt"})})
    case = Case(folder=view)
    with opened(view.by_path["model.safetensors"]) as source:
        looks = [inspect_safetensors(source, case)]
    looks += [inspect_index(view, case), inspect_layouts(view, case), inspect_configs(view, case)]
    assert loud(finding for look in looks for finding in look.findings) == {}
    assert {surface.state for look in looks for surface in look.surfaces} == {"examined"}
