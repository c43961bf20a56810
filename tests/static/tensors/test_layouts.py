import struct
from pathlib import Path

import pytest
from tensor_folders import CONFIG, awq, file_of, gptq, llama, loud, written

from qaudit.static.case import Case
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.tensors import value_reading
from qaudit.static.tensors.layouts import inspect_layouts

AWQ = {"quant_method": "awq", "bits": 4, "group_size": 8, "zero_point": True}


def test_each_folder_is_its_own_model(tmp_path: Path) -> None:
    config = {**CONFIG, "quantization_config": AWQ}
    view = written(
        tmp_path,
        {
            "config.json": CONFIG,
            "model.safetensors": file_of(llama()),
            "four/config.json": config,
            "four/model.safetensors": file_of(awq()),
            "bad/config.json": config,
            "bad/model.safetensors": file_of({**awq(), "x.scales": ("I32", (4, 16), None)}),
        },
    )
    findings = inspect_layouts(view, Case()).findings
    assert loud(findings) == {"layout/part-type": "high"}
    assert {finding.location for finding in findings} == {"bad/model.safetensors:x"}


def test_parts_in_two_shards(tmp_path: Path) -> None:
    parts = {**gptq(), "x.scales": ("F16", (4, 16), struct.pack("<64e", float("nan"), *[1.0] * 63))}
    one = {name: part for name, part in parts.items() if name != "x.scales"}
    files = {
        "config.json": {
            **CONFIG,
            "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 8},
        },
        "model-00001-of-00002.safetensors": file_of(one),
        "model-00002-of-00002.safetensors": file_of({"x.scales": parts["x.scales"]}),
    }
    assert loud(inspect_layouts(written(tmp_path, files), Case()).findings) == {
        "layout/scale-not-finite": "high"
    }


def test_long_files_are_sampled_unless_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_reading, "WHOLE_BELOW", 10)
    monkeypatch.setattr(value_reading, "SAMPLE", 64)
    bad = struct.pack("<64e", *[1.0] * 63, float("nan"))
    view = written(
        tmp_path,
        {
            "config.json": {**CONFIG, "quantization_config": AWQ},
            "model.safetensors": file_of({**awq(), "x.scales": ("F16", (4, 16), bad)}),
        },
    )
    examined = inspect_layouts(view, Case())
    assert loud(examined.findings) == {}
    assert [(surface.kind, surface.state) for surface in examined.surfaces] == [("weights", "partial")]
    examined = inspect_layouts(view, Case(deep=True))
    assert loud(examined.findings) == {"layout/scale-not-finite": "high"}
    assert examined.surfaces == []


def test_values_of_a_hub_are_not_fetched(tmp_path: Path) -> None:
    class Remote:
        local = False
        name = "model.safetensors"

        def __init__(self) -> None:
            self.data = file_of({**awq(), "x.scales": ("F16", (4, 16), bytes(128))})
            self.size = len(self.data)
            self.most = 0

        def read_at(self, offset: int, length: int) -> bytes:
            self.most = max(self.most, offset + length)
            return self.data[offset : offset + length]

    source = Remote()
    view = FolderView("hf://x/y", (Entry("model.safetensors", source.size, "safetensors", lambda: source),))
    examined = inspect_layouts(view, Case())
    assert examined.findings == []
    assert [(surface.kind, surface.state) for surface in examined.surfaces] == [("weights", "skipped")]
    assert source.most < source.size - 128


def test_packings_that_are_not_checked_are_told(tmp_path: Path) -> None:
    config = {**CONFIG, "quantization_config": {"quant_method": "bitnet"}}
    tensors = {"x.weight": ("U8", (4, 16), None), "x.weight_scale": ("BF16", (1,), None)}
    view = written(tmp_path, {"config.json": config, "model.safetensors": file_of(tensors)})
    examined = inspect_layouts(view, Case())
    assert examined.findings == []
    assert [(surface.kind, surface.state) for surface in examined.surfaces] == [("layout", "partial")]
