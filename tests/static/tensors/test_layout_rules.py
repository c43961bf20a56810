from pathlib import Path
from typing import Any

import pytest
from tensor_folders import CONFIG, awq, file_of, gptq, llama, loud, written

from qaudit.static.case import Case
from qaudit.static.tensors.faults import Fault
from qaudit.static.tensors.layout_case import LayoutCase
from qaudit.static.tensors.layout_rules import BOOK
from qaudit.static.tensors.layouts import inspect_layouts

AWQ = {"quant_method": "awq", "bits": 4, "group_size": 8, "zero_point": True, "version": "gemm"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 8, "sym": True, "desc_act": False}


def found(
    tmp_path: Path, tensors: dict[str, Any], claim: dict[str, Any] | None, **more: Any
) -> dict[str, str]:
    config = {**CONFIG, **({"quantization_config": claim} if claim else {})}
    view = written(tmp_path, {"model.safetensors": file_of(tensors), "config.json": config, **more})
    return loud(inspect_layouts(view, Case()).findings)


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        ("part-missing", "high"), ("part-type", "high"), ("part-shape", "high"), ("bits", "high"), ("group", "high"),
        ("state", "high"), ("g-idx-range", "critical"), ("g-idx-order", "medium"), ("scale-not-finite", "high"),
        ("scale-sign", "medium"), ("scale-zero", "low"),
    ],
)  # fmt: skip
def test_faults_become_findings(code: str, severity: str) -> None:
    case = LayoutCase("c", {}, None, whole=True, configured=True, faults=[Fault(code, "m:x", "text")])
    (finding,) = BOOK.findings(case)
    assert (finding.id, finding.severity, finding.location) == (f"layout/{code}", severity, "m:x")


def test_right_folders(tmp_path: Path) -> None:
    assert found(tmp_path, {**llama(), **awq("model.layers.1.x")}, AWQ) == {}
    assert found(tmp_path, {**llama(), **gptq("model.layers.1.x")}, GPTQ) == {}
    assert found(tmp_path, llama(), None) == {}


def test_claims_without_packed_weights(tmp_path: Path) -> None:
    assert found(tmp_path, llama(), AWQ) == {"layout/not-packed": "high"}
    assert found(tmp_path, llama(), {"quant_method": "bitsandbytes", "load_in_4bit": True}) == {
        "layout/not-packed": "low"
    }
    assert found(tmp_path, llama(), {"quant_method": "torchao"}) == {}
    dense = {"quant_method": "compressed-tensors", "quantization_status": "frozen", "format": "dense"}
    assert found(tmp_path, llama(), dense) == {}


def test_packed_weights_without_a_claim(tmp_path: Path) -> None:
    assert found(tmp_path, awq(), None) == {"layout/undeclared": "high"}
    assert found(tmp_path, gptq(), None, **{"quantize_config.json": GPTQ}) == {}
    view = written(tmp_path / "bare", {"model.safetensors": file_of(awq())})
    assert inspect_layouts(view, Case()).findings == []


def test_packed_though_listed_as_not_converted(tmp_path: Path) -> None:
    tensors = {**awq("model.layers.0.gate"), **awq("model.layers.0.gate_proj")}
    assert found(tmp_path, tensors, {**AWQ, "modules_to_not_convert": ["gate"]}) == {
        "layout/skipped-but-packed": "medium"
    }
    assert found(tmp_path, tensors, {**AWQ, "modules_to_not_convert": ["lm_head", "ate"]}) == {}


def test_one_layer_that_is_plain(tmp_path: Path) -> None:
    plain = {"model.layers.9.x.weight": ("F16", (16, 32), None)}
    tensors = {**awq("model.layers.0.x"), **awq("model.layers.1.x"), **plain}
    assert found(tmp_path, tensors, AWQ) == {"layout/uneven": "medium"}
    assert found(tmp_path, tensors, {**AWQ, "modules_to_not_convert": ["model.layers.9"]}) == {}
    assert found(tmp_path, tensors, {**AWQ, "modules_to_not_convert": ["re:.*9.*"]}) == {}
    assert found(tmp_path, {**plain, **awq("model.layers.0.x")}, AWQ) == {}
