import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("llama_cpp")

import torch
from checkpoints import converted as by_converter
from checkpoints.converted import VARIANTS, save, tiny_model
from safetensors.torch import load_file, save_file

from qaudit.checkpoints.gguf import read_gguf
from qaudit.errors import OutputProblem
from qaudit.lab.hf_weights import read_weights
from qaudit.lab.members import reference_folder
from realign.grids.group_grid import GroupGrid
from realign.grids.target import gguf_grids, parse_target
from realign.job import Solution
from realign.writers.awq import awq_config, awq_tensors
from realign.writers.gguf import write_gguf
from realign.writers.hf_folder import write_hf_folder
from realign.writers.verification import verify_folder, verify_gguf

NOTHING = Solution({}, {})


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_gguf_of_every_family_is_what_was_meant(tmp_path: Path, variant: str) -> None:
    model = tiny_model(variant)
    path = by_converter.write_gguf(tmp_path / "x.gguf", model, variant, half=True)
    floats = dict(model.named_parameters())
    found = verify_gguf(path, NOTHING, floats, model.config.to_dict())
    assert (found.exact, found.near, found.worst) == (len(floats), 0, 0.0)
    assert found.weights == sum(p.numel() for p in floats.values())
    name = next(n for n in floats if n.endswith(("q_proj.weight", "qkv_proj.weight")))
    changed = floats[name].detach().clone()
    changed[-1, -1] += 1
    with pytest.raises(OutputProblem, match="does not read back as it was meant"):
        verify_gguf(path, NOTHING, {**floats, name: changed}, model.config.to_dict())
    with pytest.raises(OutputProblem, match="was in neither"):
        verify_gguf(path, NOTHING, {n: p for n, p in floats.items() if n != name}, model.config.to_dict())


@pytest.fixture
def q4(member: Callable[[str], Path], tmp_path: Path) -> tuple[Path, Solution, dict, dict]:
    config = json.loads((reference_folder() / "config.json").read_text())
    floats = {n: torch.from_numpy(v) for n, v in read_weights(reference_folder()).items()}
    kinds = parse_target("gguf:Q4_K_M").kinds(member("F16"))
    encoded = {}
    for name, grid in list(gguf_grids(kinds, config).items())[:8]:
        weight = floats[f"{name}.weight"]
        by_group = weight.reshape(len(weight), grid.groups_of(weight.shape[1]), -1)
        encoded[name] = grid.encode(weight, by_group.amin(dim=-1) * 0.8, by_group.amax(dim=-1))
    solution = Solution(encoded, {"model.norm.weight": floats["model.norm.weight"] + 1})
    write_gguf(tmp_path / "new.gguf", member("F16"), kinds, solution, floats, config)
    return tmp_path / "new.gguf", solution, floats, config


def test_a_solution(q4: tuple[Path, Solution, dict, dict]) -> None:
    path, solution, floats, config = q4
    found = verify_gguf(path, solution, floats, config)
    # eight matrices of the solution and seven norms; thirteen other matrices and the embeddings
    assert (found.exact, found.near) == (15, 14)
    assert 0.02 < found.worst < 0.15


def test_a_single_flipped_byte(q4: tuple[Path, Solution, dict, dict]) -> None:
    path, solution, floats, config = q4
    tensor = next(t for t in read_gguf(path).tensors if t.name == "blk.0.attn_q.weight")
    raw = bytearray(path.read_bytes())
    raw[tensor.offset + tensor.size - 1] ^= 16
    path.write_bytes(raw)
    with pytest.raises(
        OutputProblem, match=r"model\.layers\.0\.self_attn\.q_proj\.weight' does not read back"
    ):
        verify_gguf(path, solution, floats, config)


def test_rows_in_another_order(q4: tuple[Path, Solution, dict, dict]) -> None:
    path, solution, floats, config = q4
    name = "model.layers.2.mlp.up_proj.weight"
    assert name.removesuffix(".weight") not in solution.encoded
    with pytest.raises(OutputProblem, match=r"up_proj\.weight is off by 1\.[34].* more than Q4_K loses"):
        verify_gguf(path, solution, {**floats, name: floats[name].roll(1, dims=0)}, config)


@pytest.fixture
def awq(tmp_path: Path) -> tuple[Path, dict]:
    grid = GroupGrid(4, 128, symmetric=False)
    weights = {n: torch.from_numpy(v) for n, v in read_weights(reference_folder()).items()}
    tensors: dict[str, torch.Tensor] = {}
    meant: dict = {}
    for name, weight in weights.items():
        if "_proj" in name:
            by_group = weight.reshape(len(weight), grid.groups_of(weight.shape[1]), -1)
            meant[name] = grid.encode(weight, by_group.amin(dim=-1), by_group.amax(dim=-1))
            module = name.removesuffix(".weight")
            tensors.update({f"{module}.{part}": t for part, t in awq_tensors(meant[name]).items()})
        else:
            tensors[name] = meant[name] = weight.half()
    write_hf_folder(tmp_path / "new", reference_folder(), tensors, awq_config(128))
    return tmp_path / "new", meant


def test_a_folder(awq: tuple[Path, dict]) -> None:
    path, meant = awq
    found = verify_folder(path, meant)
    assert (found.exact, found.near) == (len(meant), 0)
    name = "model.norm.weight"
    with pytest.raises(OutputProblem, match=r"'model\.norm\.weight' does not read back"):
        verify_folder(path, {**meant, name: meant[name] + 1})
    with pytest.raises(OutputProblem, match=r"lacks 'model\.more\.weight'"):
        verify_folder(path, {**meant, "model.more.weight": meant[name]})
    with pytest.raises(OutputProblem, match=r"holds 'model\.norm', which was not meant"):
        verify_folder(path, {n: t for n, t in meant.items() if n != name})
    with pytest.raises(OutputProblem, match=r"reads back as \(1, 256\)"):
        verify_folder(path, {**meant, name: torch.ones(255)})


def test_a_folder_with_one_other_code(awq: tuple[Path, dict]) -> None:
    path, meant = awq
    file = path / "model.safetensors"
    tensors = load_file(file)
    tensors["model.layers.2.mlp.down_proj.qweight"][5, 5] ^= 1
    save_file(tensors, file)
    with pytest.raises(OutputProblem, match=r"layers\.2\.mlp\.down_proj\.weight' does not read back"):
        verify_folder(path, meant)


def test_biases_of_a_folder(tmp_path: Path) -> None:
    model = tiny_model("qwen2")
    folder = save(model, tmp_path / "folder")
    shutil.copy(reference_folder() / "tokenizer.json", folder / "tokenizer.json")
    assert verify_folder(folder, dict(model.named_parameters())).exact == len(dict(model.named_parameters()))
