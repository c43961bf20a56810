"""What vLLM asks of a quantized folder, read from its own sources, checked without vLLM.

From `vllm/model_executor/layers/quantization` (awq, gptq, gptq_marlin, utils/marlin_utils,
compressed_tensors), one device, no tensor parallelism. vLLM runs query, key and value as one matrix and
gate and up as another, so that sizes hold for those, and their parts are all packed or none is. Only
loading in vLLM itself proves that it loads.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qaudit.checkpoints.hf_checkpoint import HfCheckpoint

MARLIN_GROUPS = (-1, 32, 64, 128)
MARLIN_OUTPUTS, MARLIN_INPUTS = 64, 128
GPTQ_BITS = (2, 3, 4, 8)
PACKED_BITS = (4, 8)
TYPES = ("float16", "bfloat16")
FUSED = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}
INTEGERS = ("I32", "I8")


def vllm_problems(path: Path) -> list[str]:
    """Return why vLLM would refuse a folder, a line each; none if nothing is known against it.

    Raises:
        InputError: the folder is not readable.
    """
    checkpoint = HfCheckpoint(path)
    config = checkpoint.quantization_config
    if config is None:
        return []
    found = list(_of_type(checkpoint))
    method = str(config.get("quant_method"))
    if method == "compressed-tensors":
        rules, problems = _compressed_tensors(config)
    elif method in ("awq", "gptq"):
        rules, problems = (_awq if method == "awq" else _gptq)(config)
    else:
        return [*found, f"quantization method {method[:40]!r} is not checked here"]
    found += problems
    matrices, apart = _as_run(checkpoint)
    found += apart
    for name, (outputs, inputs) in matrices.items():
        found += [f"{name} is {outputs}x{inputs}: {rule}" for rule in _broken(rules, outputs, inputs)]
    return found


# (outputs by, inputs by, why)
Rule = tuple[int, int, str]


def _awq(config: Mapping[str, Any]) -> tuple[list[Rule], list[str]]:
    group = int(config.get("group_size", 0))
    problems = []
    if config.get("bits") != 4:
        problems.append(f"AWQ of {config.get('bits')} bits; vLLM has 4")
    if str(config.get("version", "gemm")).lower() != "gemm":
        problems.append(f"AWQ layout {config.get('version')!r}; vLLM reads gemm")
    if group == -1:
        # only Marlin takes a whole row for a group
        return [(MARLIN_OUTPUTS, MARLIN_INPUTS, "one group a row needs Marlin's sizes")], problems
    return [(8, max(1, group), "outputs by 8, inputs by whole groups")], problems


def _gptq(config: Mapping[str, Any]) -> tuple[list[Rule], list[str]]:
    bits, group = config.get("bits"), int(config.get("group_size", 0))
    if bits not in GPTQ_BITS:
        return [], [f"GPTQ of {bits} bits; vLLM has {', '.join(map(str, GPTQ_BITS))}"]
    problems = []
    if config.get("checkpoint_format", "gptq") not in ("gptq", "gptq_v2"):
        problems.append(f"GPTQ layout {config.get('checkpoint_format')!r}; vLLM reads gptq and gptq_v2")
    # codes for whole words
    together = 32 // math.gcd(32, int(bits))
    return [
        (together, together, "whole words of codes"),
        (1, max(1, group), "inputs by whole groups"),
    ], problems


def _compressed_tensors(config: Mapping[str, Any]) -> tuple[list[Rule], list[str]]:
    rules: list[Rule] = []
    problems: list[str] = []
    for name, group in dict(config.get("config_groups") or {}).items():
        weights, inputs = group.get("weights") or {}, group.get("input_activations")
        layout = str(group.get("format") or config.get("format"))
        bits, strategy = weights.get("num_bits"), weights.get("strategy")
        if weights.get("dynamic") or strategy not in ("channel", "group"):
            problems.append(
                f"{name}: weights by {strategy!r}; vLLM wants them by channel or group, not dynamic"
            )
        if layout == "pack-quantized":
            if bits not in PACKED_BITS or inputs is not None:
                problems.append(f"{name}: packed weights of {bits} bits; vLLM has 4 and 8, inputs as floats")
            rules.append((1, max(1, int(weights.get("group_size") or 1)), "inputs by whole groups"))
        elif layout == "int-quantized":
            by_token = (inputs or {}).get("strategy") == "token" and (inputs or {}).get("dynamic") is True
            eight = bits == 8 and (inputs or {}).get("num_bits") == 8
            if not (by_token and eight and weights.get("symmetric") and strategy == "channel"):
                problems.append(
                    f"{name}: vLLM's int8 has symmetric weights by channel and dynamic inputs by token"
                )
            rules.append((16, 16, "its int8 kernels want sizes by 16"))
        else:
            problems.append(f"{name}: the format {layout[:40]!r} is not checked here")
    return rules, problems


def _of_type(checkpoint: HfCheckpoint) -> Iterator[str]:
    named = checkpoint.text("dtype") or checkpoint.text("torch_dtype") or "float16"
    if named not in TYPES:
        yield f"config.json says {named[:40]!r}; vLLM's quantized kernels run in {' or '.join(TYPES)}"


def _as_run(checkpoint: HfCheckpoint) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Return sizes of packed matrices as vLLM runs them, and what keeps it from that."""
    types = checkpoint.types()
    packed = {name: checkpoint.shape(name) for name in checkpoint.names() if types[name] in INTEGERS}
    sizes: dict[str, tuple[int, int]] = {}
    problems = []
    for name, (outputs, inputs) in packed.items():
        parent, _, leaf = name.rpartition(".")
        fused = next((whole for whole, parts in FUSED.items() if leaf in parts), None)
        if fused is None:
            sizes[name] = (outputs, inputs)
            continue
        whole = f"{parent}.{fused}"
        sizes[whole] = (sizes.get(whole, (0, inputs))[0] + outputs, inputs)
        missing = [f"{parent}.{part}" for part in FUSED[fused] if f"{parent}.{part}" not in packed]
        if missing and leaf == next(part for part in FUSED[fused] if f"{parent}.{part}" in packed):
            problems.append(f"{missing[0]} is not packed, the rest of {whole} is; vLLM runs them as one")
    return sizes, problems


def _broken(rules: list[Rule], outputs: int, inputs: int) -> Iterator[str]:
    for by_outputs, by_inputs, why in rules:
        if outputs % by_outputs or inputs % by_inputs:
            yield f"vLLM wants {why}"
