from pathlib import Path

import pytest
from tensor_folders import gptq, llama, modules_of

from qaudit.static.tensors import layout_case
from qaudit.static.tensors.layout_case import CHECKS, PACKINGS, LayoutCase


def case(tmp_path: Path, tensors: dict[str, object]) -> LayoutCase:
    return LayoutCase("config.json", modules_of(tmp_path, tensors), None, whole=True, configured=True)  # type: ignore[arg-type]


def test_every_packing_has_a_check() -> None:
    assert set().union(*PACKINGS.values()) == set(CHECKS)


def test_only_packed_modules_are_checked(tmp_path: Path) -> None:
    layout = case(tmp_path, {**llama(), **gptq("good"), "bad.qweight": ("I32", (4, 16), None)})
    layout.check()
    assert {module.name for module in layout.packed()} == {"good", "bad"}
    assert {fault.place for fault in layout.faults} == {"model.safetensors:bad"}


def test_scales_without_a_weight(tmp_path: Path) -> None:
    layout = case(tmp_path, {"x.weight_scale": ("F32", (1,), None)})
    layout.check()
    assert [fault.code for fault in layout.faults] == ["part-missing"]


def test_faults_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout_case, "MOST_FAULTS", 5)
    layout = case(tmp_path, {f"x{i}.qweight": ("I32", (4, 16), None) for i in range(30)})
    layout.check()
    assert 5 <= len(layout.faults) < 8
