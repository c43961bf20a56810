from pathlib import Path
from typing import Any

import pytest
from tensor_folders import modules_of

from qaudit.static.configs.quantization import Claim, claim_of
from qaudit.static.tensors.packed_compressed import check_compressed, check_shape_values

GOOD: dict[str, Any] = {
    "weight_packed": ("I32", (16, 4), None),
    "weight_scale": ("F16", (16, 4), None),
    "weight_shape": ("I64", (2,), None),
}


def claim(bits: int = 4, group: int = 8, **more: Any) -> Claim | None:
    weights = {"num_bits": bits, "group_size": group, "strategy": "group", "symmetric": True}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return claim_of("c", {"quant_method": "compressed-tensors", "config_groups": groups, **more})


def faults(tmp_path: Path, **changes: Any) -> list[str]:
    parts = {f"x.{name}": part for name, part in {**GOOD, **changes}.items() if part}
    return [f.code for f in check_compressed(modules_of(tmp_path, parts)["x"], claim())]


def test_fits(tmp_path: Path) -> None:
    assert faults(tmp_path) == []
    assert faults(tmp_path, weight_zero_point=("I32", (2, 4), None)) == []
    assert faults(tmp_path, weight_scale=("F32", (16, 1), None)) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"weight_scale": None}, "part-missing"),
        ({"weight_shape": None}, "part-missing"),
        ({"weight_packed": ("F32", (16, 4), None)}, "part-type"),
        ({"weight_scale": ("I32", (16, 4), None)}, "part-type"),
        ({"weight_scale": ("F16", (15, 4), None)}, "part-shape"),
        ({"weight_shape": ("I64", (3,), None)}, "part-shape"),
        ({"weight_zero_point": ("I32", (2, 3), None)}, "part-shape"),
    ],
)
def test_does_not_fit(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    assert code in faults(tmp_path, **changes)


def test_four_bit_floats(tmp_path: Path) -> None:
    parts = {"x.weight_packed": ("U8", (4, 16), None), "x.weight_scale": ("F8_E4M3", (4, 2), None),
             "x.weight_global_scale": ("F32", (1,), None)}  # fmt: skip
    assert list(check_compressed(modules_of(tmp_path, parts)["x"], None)) == []
    del parts["x.weight_global_scale"]
    assert [f.code for f in check_compressed(modules_of(tmp_path, parts)["x"], None)] == ["part-missing"]


def test_sparse_layouts_are_left_alone(tmp_path: Path) -> None:
    module = modules_of(tmp_path, {"x.weight_packed": ("I32", (16, 4), None)})["x"]
    assert list(check_compressed(module, claim(format="marlin-24"))) == []


@pytest.mark.parametrize(
    ("values", "told", "codes"),
    [
        ((16, 32), claim(), []),
        ((16, 32), None, []),
        ((15, 32), claim(), ["part-shape"]),
        ((16, -1), claim(), ["part-shape"]),
        ((16, 1 << 50), claim(), ["part-shape"]),
        ((16, 3), claim(), ["part-shape"]),
        ((16, 16), claim(group=4), ["bits"]),
        ((16, 32), claim(group=16), ["group"]),
    ],
)
def test_what_weight_shape_says(
    tmp_path: Path, values: tuple[int, ...], told: Claim | None, codes: list[str]
) -> None:
    module = modules_of(tmp_path, {f"x.{name}": part for name, part in GOOD.items()})["x"]
    assert [f.code for f in check_shape_values(module, values, told)] == codes


def test_agrees_with_the_library(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("compressed_tensors")
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    for bits in range(2, 9):
        for inputs in (8, 30, 31, 33, 64, 100):
            packed = pack_to_int32(torch.zeros(2, inputs, dtype=torch.int8), bits)
            parts = {
                "x.weight_packed": ("I32", tuple(packed.shape), None),
                "x.weight_scale": ("F16", (2, 1), None),
            }
            module = modules_of(tmp_path, parts)["x"]
            assert list(check_shape_values(module, (2, inputs), claim(bits, inputs))) == []
