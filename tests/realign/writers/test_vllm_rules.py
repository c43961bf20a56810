from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("compressed_tensors")

import torch
from realign_packing import random_linear

from qaudit.errors import InputError
from qaudit.lab.members import reference_folder
from realign.grids.group_grid import GroupGrid
from realign.solvers.gptq import GptqOptions
from realign.writers.awq import awq_config, awq_tensors
from realign.writers.compressed_tensors import compressed_tensors, compressed_tensors_config
from realign.writers.gptq import gptq_config, gptq_tensors
from realign.writers.hf_folder import write_hf_folder
from realign.writers.vllm_rules import vllm_problems

LAYER = "model.layers.0"
SIZES = {"self_attn.q_proj": 64, "self_attn.k_proj": 32, "self_attn.v_proj": 32, "self_attn.o_proj": 64}


def folder(
    path: Path,
    config: dict[str, Any],
    parts: Any,
    grid: GroupGrid,
    inputs: int = 128,
    leave: str = "",
    **more: Any,
) -> Path:
    tensors: dict[str, torch.Tensor] = {}
    for name, outputs in SIZES.items():
        group = inputs if grid.group_size == -1 else grid.group_size
        linear = random_linear(grid.bits, outputs, inputs, group, symmetric=grid.symmetric)
        if name == leave:
            tensors[f"{LAYER}.{name}.weight"] = linear.weight().half()
        else:
            tensors.update({f"{LAYER}.{name}.{part}": t for part, t in parts(linear).items()})
    write_hf_folder(path, reference_folder(), tensors, config, more=more)
    return path


FOUR = GroupGrid(4, 64, symmetric=False)


def test_what_is_written_here_is_taken(tmp_path: Path) -> None:
    assert vllm_problems(folder(tmp_path / "awq", awq_config(64), awq_tensors, FOUR)) == []
    for bits in (2, 3, 4, 8):
        grid = GroupGrid(bits, 64, symmetric=True)
        config = gptq_config(GptqOptions(grid, "shuffled"))
        assert vllm_problems(folder(tmp_path / f"gptq{bits}", config, gptq_tensors, grid)) == []
    grid = GroupGrid(4, 64, symmetric=True)
    made = folder(
        tmp_path / "w4a16", compressed_tensors_config(grid), lambda x: compressed_tensors(x, grid), grid
    )
    assert vllm_problems(made) == []
    grid = GroupGrid(8, -1, symmetric=True)
    config = compressed_tensors_config(grid, eight_bit_inputs=True)
    made = folder(
        tmp_path / "w8a8", config, lambda x: compressed_tensors(x, grid, eight_bit_inputs=True), grid
    )
    assert vllm_problems(made) == []
    assert vllm_problems(reference_folder()) == []


def test_parts_of_what_runs_as_one(tmp_path: Path) -> None:
    made = folder(tmp_path / "awq", awq_config(64), awq_tensors, FOUR, leave="self_attn.k_proj")
    assert vllm_problems(made) == [
        f"{LAYER}.self_attn.k_proj is not packed, the rest of {LAYER}.self_attn.qkv_proj is; vLLM runs them as one"
    ]
    # a whole matrix may be left out
    assert (
        vllm_problems(folder(tmp_path / "o", awq_config(64), awq_tensors, FOUR, leave="self_attn.o_proj"))
        == []
    )


def test_sizes(tmp_path: Path) -> None:
    # whole rows for a group need Marlin, which wants inputs by 128
    grid = GroupGrid(4, -1, symmetric=False)
    found = vllm_problems(folder(tmp_path / "awq", awq_config(-1), awq_tensors, grid, inputs=96))
    assert [line.partition(":")[0] for line in found] == [
        f"{LAYER}.self_attn.qkv_proj is 128x96",
        f"{LAYER}.self_attn.o_proj is 64x96",
    ]


def test_other_layouts_and_types(tmp_path: Path) -> None:
    gemv = folder(tmp_path / "a", {**awq_config(64), "version": "gemv_fast"}, awq_tensors, FOUR)
    with pytest.raises(InputError, match="is not read here"):
        vllm_problems(gemv)
    double = folder(tmp_path / "b", awq_config(64), awq_tensors, FOUR, torch_dtype="float32")
    assert vllm_problems(double) == [
        "config.json says 'float32'; vLLM's quantized kernels run in float16 or bfloat16"
    ]
    grid = GroupGrid(3, 64, symmetric=True)
    made = folder(
        tmp_path / "c", compressed_tensors_config(grid), lambda x: compressed_tensors(x, grid), grid
    )
    assert vllm_problems(made) == ["group_0: packed weights of 3 bits; vLLM has 4 and 8, inputs as floats"]
