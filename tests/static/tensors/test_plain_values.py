import struct
from typing import Any

import pytest
from tensor_folders import MemoryBytes, file_of, loud, quiet, raw_file

from qaudit.static.case import Case
from qaudit.static.tensors import plain_values
from qaudit.static.tensors.inspector import inspect_safetensors
from qaudit.static.tensors.plain_values import BOOK, ValueCase, is_read
from qaudit.static.tensors.safetensors_walk import walk_safetensors
from qaudit.values import Finding

NAN, INF = float("nan"), float("inf")


def findings(name: str, dtype: str, data: bytes, count: int) -> list[Finding]:
    source = MemoryBytes(file_of({"pad.weight": ("U8", (1,), None), name: (dtype, (count,), data)}))
    return BOOK.findings(ValueCase(source, walk_safetensors(source)))


@pytest.mark.parametrize(
    ("dtype", "data", "first"),
    [
        ("F64", struct.pack("<3d", 1, NAN, INF), 1), ("F32", struct.pack("<3f", 1, -INF, 2), 1),
        ("F16", struct.pack("<3e", 65504, 1, NAN), 2), ("BF16", b"\x80\x3f\x80\x7f\xc0\xff", 1),
        ("F8_E4M3", b"\x7e\x00\xff", 2), ("F8_E5M2", b"\x7b\x7c\x00", 1),
    ],
)  # fmt: skip
def test_each_type(dtype: str, data: bytes, first: int) -> None:
    (finding,) = findings("x.weight", dtype, data, 3)
    assert (finding.id, finding.severity) == ("values/not-finite", "high")
    assert f"value {first}" in finding.evidence


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I32", "U8", "F4"])
def test_right_values(dtype: str) -> None:
    source = MemoryBytes(file_of({"x.weight": (dtype, (8,), None)}))
    assert BOOK.findings(ValueCase(source, walk_safetensors(source))) == []


def test_buffers_may_hold_infinities() -> None:
    assert quiet(findings("attn.mask", "F32", struct.pack("<2f", 0, -INF), 2)) == {"values/not-finite"}


@pytest.mark.parametrize("values", [(NAN, 0), (NAN, NAN), (INF, INF), (INF, -INF)])
def test_no_buffer_is_nan_or_infinite_throughout(values: tuple[float, float]) -> None:
    (finding,) = findings("w", "F32", struct.pack("<2f", *values), 2)
    assert finding.severity == "medium"
    assert "50.0%" in finding.evidence or "100.0%" in finding.evidence


def test_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_values, "PIECE", 8)
    (finding,) = findings("x.weight", "F32", struct.pack("<5f", 0, 1, 2, NAN, INF), 5)
    assert finding.evidence == "2 of 5 (40.0%), of which 1 are NaN; the first is value 3"


def test_when_values_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    bad: Any = file_of({"x.weight": ("F16", (2,), struct.pack("<2e", NAN, 1))})
    assert loud(inspect_safetensors(MemoryBytes(bad), Case()).findings) == {"values/not-finite": "high"}
    monkeypatch.setattr(plain_values, "WHOLE_BELOW", 10)
    examined = inspect_safetensors(MemoryBytes(bad), Case())
    assert examined.findings == []
    assert [(s.kind, s.state) for s in examined.surfaces] == [
        ("safetensors", "examined"),
        ("weights", "skipped"),
    ]
    assert inspect_safetensors(MemoryBytes(bad), Case(deep=True)).findings
    assert not is_read(MemoryBytes(bad, local=False), deep=True)


def test_a_file_that_is_cut_off() -> None:
    source = MemoryBytes(file_of({"x.weight": ("F16", (64,), None)})[:-100])
    assert BOOK.findings(ValueCase(source, walk_safetensors(source))) == []


def test_shared_bytes_are_not_read_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 1 << 20
    entry = {"dtype": "F16", "shape": [size // 2], "data_offsets": [0, size]}
    source = MemoryBytes(raw_file({f"{i}.weight": entry for i in range(1000)}, bytes(size)))
    read = []
    monkeypatch.setattr(plain_values, "_counted", lambda case, tensor: read.append(tensor.size) or (0, 0, 0))
    BOOK.findings(ValueCase(source, walk_safetensors(source)))
    assert sum(read) <= source.size
