import json
import struct
from pathlib import Path
from typing import Any

import pytest
from tensor_folders import MemoryBytes, awq, file_of, gptq, modules_of

from qaudit.static.configs.quantization import claim_of
from qaudit.static.tensors.layout_values import faults_of_values
from qaudit.static.tensors.modules import STATE
from qaudit.static.tensors.value_reading import Budget

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 8, "desc_act": False}


def faults(
    tmp_path: Path, tensors: dict[str, Any], claim: dict[str, Any] | None = None
) -> list[tuple[str, str | None]]:
    source, found = MemoryBytes(file_of(tensors)), []
    for module in modules_of(tmp_path, tensors).values():
        for held in module.parts.values():
            found += list(faults_of_values(source, module, held, claim_of("c", claim), Budget()))
    return [(fault.code, fault.severity) for fault in found]


def floats(count: int, *first: float) -> bytes:
    values = [*first, *[1.0] * (count - len(first))]
    return struct.pack(f"<{count}e", *values)


def test_right_values(tmp_path: Path) -> None:
    assert faults(tmp_path, gptq(), GPTQ) == []
    assert faults(tmp_path, awq()) == []
    plain = {"scales": ("F16", (4,), floats(4, -1)), "x.weight": ("F16", (4,), floats(4, float("nan")))}
    assert faults(tmp_path, plain) == []


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ((float("nan"),), [("scale-not-finite", None)]),
        ((float("inf"),), [("scale-not-finite", None)]),
        ((-1.0,), [("scale-sign", None)]),
        ((0.0,), [("scale-zero", "low")]),
        ((0.0,) * 40, [("scale-zero", "medium")]),
    ],
)
def test_scales(tmp_path: Path, scales: tuple[float, ...], expected: list[Any]) -> None:
    for make in (gptq, awq):
        tensors = {**make(), "x.scales": ("F16", (4, 16), floats(64, *scales))}
        assert faults(tmp_path, tensors) == expected


@pytest.mark.parametrize(
    ("index", "claim", "expected"),
    [
        ([i // 8 for i in range(31)] + [4], GPTQ, [("g-idx-range", None)]),
        ([i // 8 for i in range(31)] + [-1], GPTQ, [("g-idx-range", None)]),
        ([1 << 30] * 32, None, [("g-idx-range", None)]),
        ([i % 4 for i in range(32)], GPTQ, [("g-idx-order", None)]),
        ([i % 4 for i in range(32)], {**GPTQ, "desc_act": True}, []),
        ([i % 4 for i in range(32)], None, []),
    ],
)
def test_groups_of_inputs(tmp_path: Path, index: list[int], claim: Any, expected: list[Any]) -> None:
    tensors = {**gptq(), "x.g_idx": ("I32", (32,), struct.pack("<32i", *index))}
    assert faults(tmp_path, tensors, claim) == expected


def test_a_last_group_that_is_short(tmp_path: Path) -> None:
    index = struct.pack("<40i", *[i // 16 for i in range(40)])
    tensors = {"x.qweight": ("I32", (5, 32), None), "x.qzeros": ("I32", (3, 4), None),
               "x.scales": ("F16", (3, 32), None), "x.g_idx": ("I32", (40,), index)}  # fmt: skip
    assert faults(tmp_path, tensors, {**GPTQ, "group_size": 16}) == []


def test_compressed_tensors(tmp_path: Path) -> None:
    def folder(shape: tuple[int, int], index: int = 0) -> dict[str, Any]:
        return {
            "x.weight_packed": ("I32", (16, 4), None), "x.weight_scale": ("F16", (16, 4), None),
            "x.weight_shape": ("I64", (2,), struct.pack("<2q", *shape)),
            "x.weight_g_idx": ("I32", (32,), struct.pack("<32i", *[index] * 32)),
        }  # fmt: skip

    assert faults(tmp_path, folder((16, 32))) == []
    assert faults(tmp_path, folder((16, 32), -1)) == []
    assert faults(tmp_path, folder((16, 32), 4)) == [("g-idx-range", None)]
    assert faults(tmp_path, folder((16, 1 << 41))) == [("part-shape", None)]


def test_floats_of_eight_and_four_bits(tmp_path: Path) -> None:
    fp8 = {
        "x.weight": ("F8_E4M3", (4, 4), None),
        "x.weight_scale": ("F32", (), struct.pack("<f", float("inf"))),
    }
    assert faults(tmp_path, fp8) == [("scale-not-finite", None)]
    blocks = {"x_blocks": ("U8", (1, 2, 16), None), "x_scales": ("U8", (1, 2), b"\x7f\xff")}
    assert faults(tmp_path, blocks) == [("scale-not-finite", None)]


def test_bitsandbytes(tmp_path: Path) -> None:
    state = json.dumps({"blocksize": 64, "shape": [8, 16]}).encode()
    good: dict[str, Any] = {
        "x.weight": ("U8", (64, 1), None), "x.weight.absmax": ("F32", (2,), struct.pack("<2f", 0, 1)),
        "x.weight.quant_map": ("F32", (16,), struct.pack("<16f", *range(-8, 8))),
        f"x.{STATE}nf4": ("U8", (len(state),), state),
    }  # fmt: skip
    assert faults(tmp_path, good) == [("scale-zero", "medium")]
    good["x.weight.absmax"] = ("F32", (2,), struct.pack("<2f", 1, float("nan")))
    assert faults(tmp_path, good) == [("scale-not-finite", None)]
    good["x.weight.absmax"] = ("F32", (2,), None)
    good[f"x.{STATE}nf4"] = ("U8", (len(state),), state.replace(b"16", b"17"))
    assert faults(tmp_path, good) == [("state", "critical")]
    good[f"x.{STATE}nf4"] = ("U8", (70_000,), None)
    assert faults(tmp_path, good) == [("state", None)]


def test_hqq(tmp_path: Path) -> None:
    good: dict[str, Any] = {
        "x.W_q": ("U8", (32, 8), None), "x.scale": ("F16", (64, 1), None), "x.zero": ("F16", (64, 1), None),
        "x.nbits": ("I64", (1,), struct.pack("<q", 4)), "x.shape": ("I64", (2,), struct.pack("<2q", 16, 32)),
        "x.group_size": ("I32", (1,), struct.pack("<i", 8)),
    }  # fmt: skip
    assert faults(tmp_path, good) == []
    assert faults(tmp_path, {**good, "x.shape": ("I64", (2,), struct.pack("<2q", 16, 64))}) == [
        ("state", "critical"),
        ("group", None),
    ]
    assert faults(tmp_path, {**good, "x.zero": ("F16", (64, 1), floats(64, float("nan")))}) == [
        ("scale-not-finite", None)
    ]
