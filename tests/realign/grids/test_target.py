from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

from qaudit.errors import InputError
from qaudit.lab.hf_weights import read_json
from qaudit.lab.members import reference_folder
from realign.grids.group_grid import GroupGrid
from realign.grids.superblock_grid import SuperblockGrid
from realign.grids.target import Target, gguf_grids, parse_target

FOLDERS = {
    "awq": ("awq", GroupGrid(4, 128, symmetric=False)),
    "awq:g64": ("awq", GroupGrid(4, 64, symmetric=False)),
    "gptq": ("gptq", GroupGrid(4, 128, symmetric=True)),
    "gptq:3bit": ("gptq", GroupGrid(3, 128, symmetric=True)),
    "gptq:2bit": ("gptq", GroupGrid(2, 128, symmetric=False)),
    "gptq:8bit:g-1:asym": ("gptq", GroupGrid(8, -1, symmetric=False)),
    "gptq:g32:3bit": ("gptq", GroupGrid(3, 32, symmetric=True)),
    "compressed-tensors": ("compressed-tensors", GroupGrid(4, 128, symmetric=True)),
    "compressed-tensors:w4a16:g64:asym": ("compressed-tensors", GroupGrid(4, 64, symmetric=False)),
    "compressed-tensors:w8a8": ("compressed-tensors", GroupGrid(8, -1, symmetric=True)),
}


@pytest.mark.parametrize("text", FOLDERS)
def test_folders(text: str) -> None:
    target = parse_target(text)
    assert (target.format, target.grid) == FOLDERS[text]
    assert (target.text, target.file_type, target.eight_bit_inputs) == (text, None, text.endswith("w8a8"))


@pytest.mark.parametrize(
    ("text", "file_type", "pure", "number"),
    [
        ("gguf:Q4_K_M", "Q4_K_M", False, 15),
        ("gguf:Q2_K-pure", "Q2_K", True, 10),
        ("gguf:q8_0", "Q8_0", False, 7),
    ],
)
def test_ggufs(text: str, file_type: str, pure: bool, number: int) -> None:
    pytest.importorskip("llama_cpp")
    target = parse_target(text)
    assert target == Target(text, "gguf", file_type=file_type, pure=pure)
    assert target.file_type_number == number


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("exl2", "unknown format; such as gguf:Q4_K_M"),
        ("", "unknown format"),
        ("gguf", "name llama.cpp's file type"),
        ("gguf:Q9_K", "no file type 'Q9_K'"),
        ("gguf:Q4_K_M:g64", "name llama.cpp's file type"),
        ("awq:3bit", "AWQ has 4 bits"),
        ("awq:g0", "unknown option 'g0'"),
        ("awq:w4a16", "is a scheme of compressed-tensors"),
        ("gptq:5bit", "2, 3, 4 or 8 bits"),
        ("gptq:4bit:3bit", "says bits twice"),
        ("gptq:fast", "unknown option 'fast'"),
        ("compressed-tensors:4bit", "the scheme says the bits"),
        ("compressed-tensors:w4a8", "w4a16 .* or w8a8"),
        ("compressed-tensors:w8a8:g64", "w4a16 .* or w8a8"),
    ],
)
def test_what_nobody_knows(text: str, why: str) -> None:
    pytest.importorskip("llama_cpp")
    with pytest.raises(InputError, match=why) as caught:
        parse_target(text)
    assert "\n" not in str(caught.value)


def test_grids_of_folders() -> None:
    grids = parse_target("awq:g64").grids({"a": 128, "b": 64})
    assert grids == {"a": GroupGrid(4, 64, symmetric=False), "b": GroupGrid(4, 64, symmetric=False)}
    with pytest.raises(InputError, match="b: 96 inputs are not whole groups of 64"):
        parse_target("awq:g64").grids({"a": 128, "b": 96})
    with pytest.raises(InputError, match="no ggml types"):
        parse_target("awq").kinds(Path("any.gguf"))


def test_grids_of_a_mix(member: Callable[[str], Path]) -> None:
    pytest.importorskip("llama_cpp")
    target = parse_target("gguf:Q4_K_M")
    grids = gguf_grids(target.kinds(member("F16")), read_json(reference_folder() / "config.json"))
    # every linear layer of the three blocks and the embeddings, but no norms
    assert len(grids) == 22
    raised = {name for name, grid in grids.items() if grid == SuperblockGrid("Q6_K")}
    assert raised == {
        "model.embed_tokens", "model.layers.2.self_attn.v_proj", "model.layers.2.mlp.down_proj"
    }  # fmt: skip
    assert {grids[name] for name in grids.keys() - raised} == {SuperblockGrid("Q4_K")}
    with pytest.raises(InputError, match="its grids are those of its ggml types"):
        target.grids({})


def test_types_without_scales_to_learn_are_left_to_ggml(member: Callable[[str], Path]) -> None:
    pytest.importorskip("llama_cpp")
    config = read_json(reference_folder() / "config.json")
    grids = gguf_grids(parse_target("gguf:IQ4_XS").kinds(member("F16")), config)
    assert grids == {"model.embed_tokens": SuperblockGrid("Q6_K")}
    grids = gguf_grids(parse_target("gguf:IQ3_XXS").kinds(member("F16")), config)
    in_blocks = {name: grid for name, grid in grids.items() if ".layers." in name}
    downs = [f"model.layers.{number}.mlp.down_proj" for number in range(3)]
    assert in_blocks == dict.fromkeys(downs, SuperblockGrid("Q3_K"))
