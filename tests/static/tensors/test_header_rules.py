from typing import Any

import pytest
from tensor_folders import MemoryBytes, file_of, loud, quiet, raw_file

from qaudit.static.tensors.header_rules import BOOK
from qaudit.static.tensors.safetensors_walk import SafetensorsWalk, StoredTensor, walk_safetensors


def entries(*spans: tuple[str, int, int]) -> dict[str, Any]:
    return {n: {"dtype": "U8", "shape": [e - b], "data_offsets": [b, e]} for n, b, e in spans}


def found(data: bytes) -> dict[str, str]:
    return loud(BOOK.findings(walk_safetensors(MemoryBytes(data))))


def test_a_right_file_breaks_no_rule() -> None:
    assert (
        BOOK.findings(
            walk_safetensors(MemoryBytes(file_of({"a": ("F32", (2,), None), "b": ("F16", (0,), b"")})))
        )
        == []
    )


@pytest.mark.parametrize(
    ("header", "body", "rule", "severity"),
    [
        (entries(("a", 0, 4), ("b", 2, 6)), 6, "overlap", "high"),
        (entries(("a", 0, 9), ("b", 2, 3), ("c", 5, 6)), 9, "overlap", "high"),
        (entries(("a", 4, 8)), 8, "hole", "high"),
        (entries(("a", 0, 2), ("b", 3, 4)), 4, "hole", "high"),
        (entries(("a", 0, 2)), 5, "trailing-bytes", "high"),
        (entries(("a", 0, 9)), 5, "truncated", "high"),
        (entries(("a", 0, 4), ("e", 2, 2)), 4, "empty-inside", "medium"),
        ({str(i): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(1001)}, 0, "empty-tensors", "medium"),
    ],
)  # fmt: skip
def test_places(header: dict[str, Any], body: int, rule: str, severity: str) -> None:
    assert found(raw_file(header, bytes(body)))[f"safetensors/{rule}"] == severity


def test_an_empty_tensor_at_a_border_is_fine() -> None:
    assert found(raw_file(entries(("a", 0, 4), ("e", 4, 4), ("b", 4, 8)), bytes(8))) == {}


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        ("header-length", "high"), ("not-json", "high"), ("padding", "low"), ("duplicate-key", "high"),
        ("entry", "high"), ("dtype", "medium"), ("size", "high"), ("overflow", "critical"), ("offsets", "high"),
        ("dimensions", "medium"), ("metadata-type", "high"), ("many-entries", "medium"),
    ],
)  # fmt: skip
def test_what_the_walk_noted_becomes_a_finding(code: str, severity: str) -> None:
    walk = SafetensorsWalk("m.safetensors", 8, data_start=8)
    walk.note(code, 5, "evidence")
    (finding,) = BOOK.findings(walk)
    assert (finding.id, finding.severity, finding.location) == (
        f"safetensors/{code}",
        severity,
        "m.safetensors@byte 5",
    )


def test_what_follows_is_named() -> None:
    walk = walk_safetensors(MemoryBytes(raw_file(entries(("a", 0, 2)), bytes(9))))
    walk.tail = "zip"
    assert "which begin as zip" in BOOK.findings(walk)[0].evidence


def test_unaligned_and_new_types_are_worth_knowing() -> None:
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    odd = header + b" " * (-len(header) % 8 + 1)
    findings = BOOK.findings(walk_safetensors(MemoryBytes(raw_file(odd, bytes(4)))))
    assert quiet(findings) == {"safetensors/unaligned"}
    findings = BOOK.findings(walk_safetensors(MemoryBytes(file_of({"a": ("F8_E8M0", (8,), None)}))))
    assert quiet(findings) == {"safetensors/new-dtype"}


def test_a_header_that_was_cut_says_nothing_of_holes() -> None:
    walk = SafetensorsWalk(
        "m", 100, data_start=8, tensors=[StoredTensor("a", "U8", (1,), 5, 6)], complete=False
    )
    assert BOOK.findings(walk) == []
