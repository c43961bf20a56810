"""Files in place of a tensor's values, by their first bytes."""

from pathlib import Path

import pytest
from attacks.honest_models import safetensors_bytes

from qaudit.static.byte_source import LocalBytes
from qaudit.static.tensors import foreign_bytes
from qaudit.static.tensors.foreign_bytes import BOOK, starts
from qaudit.static.tensors.safetensors_walk import walk_safetensors

ELF = b"\x7fELF\x02\x01\x01" + bytes(57)


def looked(path: Path, **tensors: tuple[str, bytes]) -> foreign_bytes.Starts:
    sizes = {"F32": 4, "I32": 4}
    path.write_bytes(
        safetensors_bytes(
            {
                name: (dtype, (len(data) // sizes.get(dtype, 1),), data)
                for name, (dtype, data) in tensors.items()
            }
        )
    )
    with LocalBytes(path) as source:
        return starts(source, walk_safetensors(source))


@pytest.mark.parametrize("dtype", ["U8", "I8", "F8_E4M3", "BOOL", "F32"])
def test_a_program_in_a_tensor_is_told(tmp_path: Path, dtype: str) -> None:
    (finding,) = BOOK.findings(looked(tmp_path / "m.safetensors", a=("U8", bytes(64)), b=(dtype, ELF)))
    assert (finding.id, finding.severity) == ("values/foreign-file", "high")
    assert "ELF" in finding.evidence
    assert ":b@byte " in finding.location


def test_numbers_are_none(tmp_path: Path) -> None:
    found = looked(
        tmp_path / "m.safetensors", a=("U8", bytes(range(256))), b=("I32", b"\x80\x04\x95\x10" * 16)
    )
    assert BOOK.findings(found) == []


def test_what_was_left_out_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_bytes, "MOST_BYTES", 64)
    assert looked(tmp_path / "m.safetensors", a=("U8", ELF), b=("U8", ELF)).left_out == 1


@pytest.mark.parametrize("at", [1, 34, 210])
def test_a_program_that_begins_within_the_first_block_is_told(tmp_path: Path, at: int) -> None:
    shell = b"#!/bin/sh\nexec something\n".ljust(256 - at)
    (finding,) = BOOK.findings(looked(tmp_path / "m.safetensors", a=("U8", b"\x3c" * at + shell)))
    assert (finding.id, finding.severity) == ("values/foreign-file", "high")
    assert f"{at} bytes in" in finding.evidence
