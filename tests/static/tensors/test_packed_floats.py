from pathlib import Path
from typing import Any

import pytest
from tensor_folders import modules_of

from qaudit.static.configs.quantization import claim_of
from qaudit.static.tensors.packed_floats import check_blocks, check_scaled

Part = tuple[str, tuple[int, ...], None]


def scaled(tmp_path: Path, claim: dict[str, Any] | None = None, **parts: Part) -> list[str]:
    module = modules_of(tmp_path, {f"x.{name}": part for name, part in parts.items()})["x"]
    return [f.code for f in check_scaled(module, claim_of("c", claim))]


W: Part = ("F8_E4M3", (256, 384), None)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (256,), (256, 1), (2, 3), (256, 12)])
def test_fp8_fits(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert scaled(tmp_path, weight=W, weight_scale=("F32", shape, None)) == []


def test_fp8_blocks_are_as_claimed(tmp_path: Path) -> None:
    part: Part = ("F32", (4, 6), None)
    assert (
        scaled(
            tmp_path, {"quant_method": "fp8", "weight_block_size": [64, 64]}, weight=W, weight_scale_inv=part
        )
        == []
    )
    assert scaled(tmp_path, {"quant_method": "fp8"}, weight=W, weight_scale_inv=part) == ["part-shape"]
    assert (
        scaled(
            tmp_path,
            {"quant_method": "fp8", "weight_block_size": ["x", 0]},
            weight=W,
            weight_scale=("F32", (2, 3), None),
        )
        == []
    )


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"weight": W, "weight_scale": ("I32", (), None)}, "part-type"),
        ({"weight": W, "weight_scale": ("F32", (255,), None)}, "part-shape"),
        ({"weight": ("F16", (4, 4), None), "weight_scale": ("F32", (), None)}, "part-type"),
        ({"weight": ("I64", (4, 4), None), "weight_scale": ("F32", (), None)}, "part-type"),
        ({"weight": ("U8", (4, 16), None), "weight_scale": ("F8_E4M3", (4, 2), None)}, "part-missing"),
        ({"weight": ("U8", (4, 16), None), "weight_scale": ("F8_E4M3", (4, 3), None)}, "part-shape"),
    ],
)
def test_does_not_fit(tmp_path: Path, parts: dict[str, Part], code: str) -> None:
    assert code in scaled(tmp_path, **parts)


def test_four_bits(tmp_path: Path) -> None:
    nvfp4: dict[str, Part] = {"weight": ("U8", (4, 16), None), "weight_scale": ("F8_E4M3", (4, 2), None),
                              "weight_scale_2": ("F32", (), None), "input_scale": ("F32", (), None)}  # fmt: skip
    assert scaled(tmp_path, **nvfp4) == []
    assert scaled(tmp_path, weight=("U8", (4, 32), None), weight_scale=("U8", (4, 2), None)) == []
    assert scaled(tmp_path, weight=("I8", (4, 16), None), weight_scale=("BF16", (4, 1), None)) == []


def test_blocks(tmp_path: Path) -> None:
    good = {"e.p_blocks": ("U8", (2, 4, 3, 16), None), "e.p_scales": ("U8", (2, 4, 3), None)}
    (module,) = modules_of(tmp_path, good).values()
    assert (module.name, list(check_blocks(module, None))) == ("e.p", [])
    for scales in ((2, 4, 2), (2, 4)):
        bad = {**good, "e.p_scales": ("U8", scales, None)}
        (module,) = modules_of(tmp_path, bad).values()
        assert [f.code for f in check_blocks(module, None)] == ["part-shape"]
