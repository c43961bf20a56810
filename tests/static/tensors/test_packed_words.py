from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensor_folders import awq, gptq, modules_of, written

from qaudit.static.configs.quantization import claim_of
from qaudit.static.folder_view import Entry
from qaudit.static.tensors.modules import Module, gathered
from qaudit.static.tensors.packed_words import check_words, gptq_inputs
from qaudit.static.tensors.safetensors_walk import SafetensorsWalk, StoredTensor
from qaudit.static.tensors.weight_files import Held, weight_folders

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 8, "desc_act": False}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 8, "zero_point": True, "version": "gemm"}


def faults(tmp_path: Path, parts: dict[str, Any], claim: dict[str, Any] | None, **changes: Any) -> list[str]:
    parts = {**parts, **{f"x.{name}": value for name, value in changes.items()}}
    module = modules_of(tmp_path, {k: v for k, v in parts.items() if v})["x"]
    return [f.code for f in check_words(module, claim_of("config.json", claim))]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group", [8, 32, -1])
def test_gptq_fits(tmp_path: Path, bits: int, group: int) -> None:
    parts = gptq(inputs=64, outputs=32, bits=bits, group=64 if group == -1 else group)
    for claim in (None, {**GPTQ, "bits": bits, "group_size": group}):
        assert faults(tmp_path, parts, claim) == []
    module = modules_of(tmp_path, parts)["x"]
    assert gptq_inputs(module) == (64, 1 if group == -1 else 64 // group)


@pytest.mark.parametrize(
    ("changes", "claim", "code"),
    [
        ({"scales": None}, GPTQ, "part-missing"),
        ({"qzeros": None}, GPTQ, "part-missing"),
        ({"qweight": ("F32", (4, 16), None)}, GPTQ, "part-type"),
        ({"scales": ("I32", (4, 16), None)}, GPTQ, "part-type"),
        ({"scales": ("F16", (4, 15), None)}, GPTQ, "part-shape"),
        ({"qzeros": ("I32", (4, 9), None)}, GPTQ, "part-shape"),
        ({"g_idx": ("I32", (31,), None)}, GPTQ, "part-shape"),
        ({"g_idx": ("F32", (32,), None)}, GPTQ, "part-type"),
        ({}, {**GPTQ, "bits": 8}, "bits"),
        ({}, {**GPTQ, "group_size": 16}, "group"),
        ({"g_idx": None}, {**GPTQ, "desc_act": True}, "part-missing"),
    ],
)
def test_gptq_does_not_fit(tmp_path: Path, changes: dict[str, Any], claim: dict[str, Any], code: str) -> None:
    assert code in faults(tmp_path, gptq(), claim, **changes)


def test_gptq_may_leave_things_open(tmp_path: Path) -> None:
    assert faults(tmp_path, gptq(), GPTQ, g_idx=("I32", (0,), b"")) == []
    assert faults(tmp_path, gptq(), {**GPTQ, "bits": 8, "dynamic": {"+:x": {"bits": 4}}}) == []
    assert faults(tmp_path, gptq(), {**GPTQ, "checkpoint_format": "marlin", "bits": 8}) == []


def test_awq_fits(tmp_path: Path) -> None:
    for claim in (None, AWQ, {**AWQ, "version": "GEMM"}, {"w_bit": 4, "q_group_size": 8}):
        assert faults(tmp_path, awq(), claim) == []
    assert faults(tmp_path, awq(), {**AWQ, "zero_point": False}, qzeros=None) == []
    gemv = {
        "x.qweight": ("I32", (16, 4), None),
        "x.qzeros": ("I32", (16, 1), None),
        "x.scales": ("F16", (16, 8), None),
    }
    assert faults(tmp_path, gemv, {**AWQ, "version": "gemv"}) == []
    assert faults(tmp_path, gemv, {**AWQ, "version": "gemv", "group_size": 2}) == ["group"]


@pytest.mark.parametrize(
    ("changes", "claim", "code"),
    [
        ({"scales": None}, AWQ, "part-missing"),
        ({"qzeros": None}, AWQ, "part-missing"),
        ({"qweight": ("I32", (32, 3), None)}, AWQ, "bits"),
        ({"qzeros": ("I32", (3, 2), None)}, AWQ, "part-shape"),
        ({}, {**AWQ, "group_size": 16}, "group"),
        ({"scales": ("F16", (4,), None)}, AWQ, "part-shape"),
    ],
)
def test_awq_does_not_fit(tmp_path: Path, changes: dict[str, Any], claim: dict[str, Any], code: str) -> None:
    assert code in faults(tmp_path, awq(), claim, **changes)


def test_the_golden_matrices_of_autoawq_fit(tmp_path: Path) -> None:
    golden = Path(__file__).parents[2] / "checkpoints/codecs/golden"
    for name, group in (("awq_32x64", 64), ("awq_32x128", 32)):
        data = (golden / f"{name}.safetensors").read_bytes()
        modules = gathered(weight_folders(written(tmp_path, {"model.safetensors": data}))[0].tensors())
        for layout in ("gemm", "gemv"):
            claim = claim_of("c", {**AWQ, "version": layout, "group_size": group})
            assert list(check_words(modules[layout], claim)) == []


SHAPES = st.lists(st.integers(0, 1 << 40), max_size=4).map(tuple)
PARTS = st.dictionaries(
    st.sampled_from(["qweight", "qzeros", "scales", "g_idx"]),
    st.tuples(st.sampled_from(["I32", "F16", "U8"]), SHAPES),
    min_size=1,
)
CLAIMS = st.fixed_dictionaries({
    "quant_method": st.sampled_from(["gptq", "awq", "other"]),
    "bits": st.integers(-1, 9) | st.none(), "group_size": st.integers(-2, 1 << 40) | st.none(),
    "version": st.sampled_from(["gemm", "gemv", "marlin"]), "desc_act": st.booleans(),
})  # fmt: skip


@given(PARTS, CLAIMS | st.none())
def test_never_raises(parts: dict[str, tuple[str, tuple[int, ...]]], claim: dict[str, Any] | None) -> None:
    entry, walk = Entry("m", 0, "safetensors", None), SafetensorsWalk("m", 0)
    module = Module(
        "x", {p: Held(entry, walk, StoredTensor(f"x.{p}", d, s, 0, 0)) for p, (d, s) in parts.items()}
    )
    assert all(fault.text for fault in check_words(module, claim_of("c", claim)))
