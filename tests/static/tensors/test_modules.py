from pathlib import Path

import pytest
from tensor_folders import awq, gptq, llama, modules_of

from qaudit.static.tensors.modules import STATE, split_name

F: tuple[str, tuple[int, ...], None] = ("F16", (2, 2), None)


@pytest.mark.parametrize(
    ("parts", "packing"),
    [
        (("x.weight", "x.bias"), "plain"),
        (("x.qweight", "x.qzeros", "x.scales"), "words"),
        (("x.qzeros", "x.scales"), "words"),
        (("x.weight_packed", "x.weight_scale"), "compressed"),
        (("x.weight", "x.weight_scale"), "scaled"),
        (("x.weight", "x.weight_scale_inv"), "scaled"),
        (("x.weight", "x.weight.absmax", f"x.{STATE}nf4"), "bnb4"),
        (("x.weight", "x.SCB"), "bnb8"),
        (("x.W_q", "x.scale", "x.zero", "x.shape"), "hqq"),
        (("x_blocks", "x_scales"), "blocks"),
        (("x.weight_scale",), "stray"),
    ],
)
def test_packing_by_parts(tmp_path: Path, parts: tuple[str, ...], packing: str) -> None:
    modules = modules_of(tmp_path, dict.fromkeys(parts, F))
    assert list(modules) == ["x"]
    assert modules["x"].packing == packing
    assert modules["x"].packed == (packing != "plain")


def test_lone_tensors_are_modules(tmp_path: Path) -> None:
    modules = modules_of(tmp_path, {"A_log": F, "x.scale": F, "y.shape": F, "z_scales": F})
    assert set(modules) == {"A_log", "x.scale", "y.shape", "z_scales"}
    assert all(module.packing == "plain" for module in modules.values())


def test_whole_models(tmp_path: Path) -> None:
    modules = modules_of(tmp_path, {**llama(), **gptq("g"), **awq("w")})
    assert {name for name, module in modules.items() if module.packed} == {"g", "w"}
    assert next(iter(modules)) == "model.embed_tokens"
    assert modules["g"].place == "model.safetensors:g"
    assert modules["g"].dtype("scales") == "F16"


def test_split_name() -> None:
    assert split_name("a.b.qweight", []) == ("a.b", "qweight")
    assert split_name("weight", []) == ("weight", "weight")
    assert split_name(f"a.{STATE}fp4", []) == ("a", f"{STATE}fp4")
