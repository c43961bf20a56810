"""Whole folders: quantized, written, read by the codecs, run by transformers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

from qaudit.checkpoints.opening import open_checkpoint  # noqa: E402
from qaudit.errors import InputError  # noqa: E402
from realign.activation_stream import unpadded  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.plain_quantization import (  # noqa: E402
    AwqRecipe,
    GptqRecipe,
    Recipe,
    load_float,
    quantize_folder,
    quantize_model,
    round_to_nearest,
    tokenized,
)
from realign.solvers.awq_search import AwqOptions  # noqa: E402
from realign.solvers.gptq import GptqOptions  # noqa: E402

TEXTS = ["<|bos|><|user|>how do i bake bread", "<|bos|><|user|>tell me about the sea and the wind today"]
AWQ = AwqRecipe(AwqOptions(group_size=32, exponents=3, shrinks=3))
FOUR = GroupGrid(4, 32, symmetric=True)
RECIPES: dict[str, tuple[Recipe, str]] = {
    "awq": (AWQ, "AWQ 4-bit g32"),
    "gptq": (GptqRecipe(GptqOptions(FOUR)), "GPTQ 4-bit g32"),
    "gptq shuffled": (
        GptqRecipe(GptqOptions(GroupGrid(4, 32, symmetric=False), "shuffled")),
        "GPTQ 4-bit g32",
    ),
    "gptq 3": (GptqRecipe(GptqOptions(GroupGrid(3, 32, symmetric=True), "static")), "GPTQ 3-bit g32"),
    "w4a16": (GptqRecipe(GptqOptions(FOUR), "compressed-tensors"), "compressed-tensors pack-quantized 4-bit"),
}


@pytest.mark.parametrize("parent", ["grouped", "ungrouped"])
@pytest.mark.parametrize("name", RECIPES)
def test_rows_decode_to_what_was_meant(
    name: str, parent: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    recipe, described = RECIPES[name]
    folder = request.getfixturevalue(parent)
    linears = quantize_folder(folder, tmp_path / "new", recipe, TEXTS, more={"of": "a test"})
    checkpoint = open_checkpoint(tmp_path / "new")
    assert checkpoint.quantization == described
    assert checkpoint.text("of") == "a test"
    original = open_checkpoint(folder)
    assert sorted(checkpoint.names()) == sorted(original.names())
    assert len(linears) == 4 * 7
    for module, linear in linears.items():
        meant = linear.weight()
        meant = meant.half().float() if name == "w4a16" else meant
        np.testing.assert_array_equal(checkpoint.rows(module), meant.numpy())
    touched = {
        module
        for module in original.names()
        if not np.array_equal(original.rows(module), checkpoint.rows(module))
    }
    folded = {module for module in touched if module not in linears}
    assert set(linears) <= touched
    # AWQ divides norms (and biases of what writes); nothing else may change, and GPTQ changes nothing at all
    assert all(name == "awq" and ("layernorm" in module or module.endswith("bias")) for module in folded)
    assert bool(folded) == (name == "awq")


@pytest.mark.parametrize("name", ["awq", "gptq"])
def test_the_file_computes_what_the_quantized_model_computes(
    name: str, grouped: Path, tmp_path: Path
) -> None:
    recipe, _ = RECIPES[name]
    quantize_folder(grouped, tmp_path / "new", recipe, TEXTS)
    in_memory = load_float(grouped)
    quantize_model(in_memory, tokenized(grouped, TEXTS), recipe)
    from_file = load_float(grouped)
    checkpoint = open_checkpoint(tmp_path / "new")
    state = from_file.state_dict()
    for module in checkpoint.names():
        key = f"{module}.weight" if f"{module}.weight" in state else module
        state[key].copy_(torch.from_numpy(checkpoint.rows(module)).reshape(state[key].shape))
    batch = unpadded(tokenized(grouped, TEXTS))[0]
    with torch.no_grad():
        # norms are rounded to float16 in the file
        torch.testing.assert_close(from_file(batch).logits, in_memory(batch).logits, rtol=0.01, atol=0.01)


def test_runs_repeat_themselves(grouped: Path, tmp_path: Path) -> None:
    for run in ("one", "two"):
        quantize_folder(grouped, tmp_path / run, AWQ, TEXTS)
    files = ("model.safetensors", "config.json")
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


def test_rounding_alone_is_on_the_grid(grouped: Path) -> None:
    model = load_float(grouped)
    round_to_nearest(model, GptqRecipe(GptqOptions(FOUR)))
    row = model.get_submodule("model.layers.0.mlp.up_proj").weight[0, :32]
    assert len(row.unique()) <= 16


def test_parents_that_are_no_float_folder(grouped: Path, tmp_path: Path) -> None:
    quantize_folder(grouped, tmp_path / "new", RECIPES["gptq"][0], TEXTS)
    with pytest.raises(InputError, match="quantized already"):
        quantize_folder(tmp_path / "new", tmp_path / "again", AWQ, TEXTS)
    odd = Path(shutil.copytree(grouped, tmp_path / "odd"))
    tensors = load_file(odd / "model.safetensors")
    save_file(
        tensors | {"counts": torch.zeros(3, dtype=torch.int64)}, odd / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InputError, match="'counts' is I64"):
        quantize_folder(odd, tmp_path / "again", AWQ, TEXTS)
    with pytest.raises(InputError, match="not whole groups of 48"):
        quantize_folder(grouped, tmp_path / "again", AwqRecipe(AwqOptions(group_size=48)), TEXTS)
    assert not (tmp_path / "again").exists()


def test_config_says_how_to_read_it(grouped: Path, tmp_path: Path) -> None:
    quantize_folder(grouped, tmp_path / "new", RECIPES["gptq shuffled"][0], TEXTS)
    told = json.loads((tmp_path / "new" / "config.json").read_text())["quantization_config"]
    expected = {"quant_method": "gptq", "checkpoint_format": "gptq", "bits": 4, "group_size": 32}
    assert expected.items() <= told.items()
    assert (told["desc_act"], told["sym"], told["lm_head"]) == (True, False, False)


def test_the_library_itself_loads_compressed_tensors(grouped: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    recipe = GptqRecipe(GptqOptions(FOUR), "compressed-tensors")
    linears = quantize_folder(grouped, tmp_path / "new", recipe, TEXTS)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "new", dtype=torch.float32)
    module = "model.layers.1.mlp.down_proj"
    meant = load_float(grouped)
    quantize_model(meant, tokenized(grouped, TEXTS), recipe)
    batch = unpadded(tokenized(grouped, TEXTS))[0]
    with torch.no_grad():
        torch.testing.assert_close(model(batch).logits, meant(batch).logits, rtol=0.02, atol=0.02)
    assert module in linears
