import io
import struct
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.static.archives.zip_layout import walk_zip
from qaudit.static.pickles.window import Held


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def codes(data: bytes) -> set[str]:
    return {fault.code for fault in walk_zip(Held(data, "x")).faults}


PLAIN = zipped({"a/one": b"1" * 50, "a/two": b"2" * 20})


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_what_zipfile_writes_is_whole(method: int) -> None:
    walk = walk_zip(Held(zipped({"a": b"1" * 100, "dir/b": b"", "ü": b"3"}, method), "x"))
    assert not walk.faults
    assert [(m.name, m.size, m.method) for m in walk.members] == [
        ("a", 100, method),
        ("dir/b", 0, method),
        ("ü", 1, method),
    ]


def test_what_is_streamed_is_whole() -> None:
    class Pipe(io.RawIOBase):
        data = b""

        def writable(self) -> bool:
            return True

        def write(self, part: bytes) -> int:  # type: ignore[override]
            self.data += bytes(part)
            return len(part)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:  # type: ignore[call-overload]
        archive.writestr("a", b"1" * 100)
        archive.writestr("b", b"2")
    assert not codes(pipe.data)


def test_what_torch_writes_is_whole() -> None:
    stream = io.BytesIO()
    torch.save({"a": torch.ones(100), "b": torch.ones(3, dtype=torch.int8)}, stream)
    walk = walk_zip(Held(stream.getvalue(), "x"))
    assert not walk.faults
    assert any(member.name.endswith("data.pkl") for member in walk.members)


def _changed(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]


CENTRAL = PLAIN.find(b"PK\x01\x02")


def _without_entry() -> bytes:
    start = PLAIN.find(b"PK\x01\x02", CENTRAL + 4)
    end = PLAIN.find(b"PK\x05\x06")
    cut = bytearray(PLAIN[:start] + PLAIN[end:])
    struct.pack_into("<HHLL", cut, start + 8, 1, 1, start - CENTRAL, CENTRAL)
    return bytes(cut)


def _overlapping() -> bytes:
    second = PLAIN.find(b"PK\x01\x02", CENTRAL + 4)
    data = bytearray(PLAIN)
    struct.pack_into("<L", data, second + 42, 0)
    return bytes(data)


def _commented() -> bytes:
    inner = PLAIN
    data = bytearray(zipped({"b": b"x"}))
    struct.pack_into("<H", data, len(data) - 2, len(inner))
    return bytes(data) + inner


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (_changed(PLAIN, 30, ord("b")), "header-mismatch"),
        (_changed(PLAIN, 8, 8), "header-mismatch"),
        (_changed(PLAIN, 6, 1), "header-mismatch"),
        (_changed(PLAIN, 14, PLAIN[14] ^ 1), "header-mismatch"),
        (_changed(PLAIN, 22, 9), "header-mismatch"),
        (b"before" + PLAIN, "prepended"),
        (PLAIN + b"behind", "trailing"),
        (_without_entry(), "hidden-member"),
        (_overlapping(), "overlap"),
        (_commented(), "prepended"),
        (PLAIN[:-22], "broken"),
        (PLAIN[:60], "broken"),
    ],
)
def test_each_fault_is_told(data: bytes, code: str) -> None:
    assert code in codes(data)


def test_members_are_found_without_a_directory() -> None:
    assert [member.name for member in walk_zip(Held(PLAIN[:CENTRAL], "x")).members] == ["a/one", "a/two"]


def test_a_zip_that_is_a_member_is_no_second_directory() -> None:
    assert not codes(zipped({"inner.zip": PLAIN}))


def test_a_second_end_record_behind_the_first() -> None:
    data = bytearray(PLAIN + b"PK\x05\x06" + bytes(18))
    assert codes(bytes(data)) & {"two-directories", "trailing", "gap"}


@settings(max_examples=300)
@given(st.data())
def test_never_raises(data: st.DataObject) -> None:
    raw = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    walk_zip(Held(bytes(raw[: data.draw(st.integers(0, len(raw)))]), "x"))
