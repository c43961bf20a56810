import io
import zipfile
from pathlib import Path

from tensor_folders import MemoryBytes, file_of, loud

from qaudit.static.byte_source import LocalBytes
from qaudit.static.case import Case
from qaudit.static.model_parts import TensorRow
from qaudit.static.tensors.inspector import inspect_safetensors

GOOD = file_of({"a": ("BF16", (2, 3), None)}, {"format": "pt"})


def test_a_right_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(GOOD)
    with LocalBytes(path) as source:
        examined = inspect_safetensors(source, Case())
    assert examined.findings == []
    assert [(s.state, s.kind) for s in examined.surfaces] == [("examined", "safetensors")]
    assert examined.parts is not None
    assert examined.parts.tensors == (TensorRow("a", (2, 3), "BF16", 12),)


def test_what_is_appended_is_named() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.py", "x")
    for tail, name in (
        (archive.getvalue(), "zip"),
        (b"junk" + archive.getvalue(), "zip"),
        (b"\x7fELF" + bytes(60), "elf"),
        (bytes(40), "zeros"),
    ):
        examined = inspect_safetensors(MemoryBytes(GOOD + tail), Case())
        (finding,) = examined.findings
        assert finding.id == "safetensors/trailing-bytes"
        assert f"begin as {name}" in finding.evidence


def test_a_cut_header_is_partial() -> None:
    examined = inspect_safetensors(MemoryBytes(GOOD[:40]), Case())
    assert examined.surfaces[0].state == "partial"
    assert loud(examined.findings) == {"safetensors/header-length": "high"}
