"""Names in the headers of archives that are written here by hand, as their formats say."""

import lzma
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.archives.listed_names import MOST_NAMES, listed_names
from qaudit.static.pickles.window import Held

NAMES = ["model/weights.bin", "run me.exe", "../../.bashrc", "мо\u00e4.pkl"]


def number(value: int) -> bytes:
    """7z's, in two bytes where one is too small."""
    return bytes([value]) if value < 128 else bytes([128 | value >> 8, value & 255])


def seven_header(names: list[str]) -> bytes:
    text = b"".join(name.encode("utf-16-le") + b"\0\0" for name in names)
    # header, files, how many; a property before it that is none; names; end
    return (
        b"\1\5"
        + number(len(names))
        + b"\x19\2\0\0"
        + b"\x11"
        + number(len(text) + 1)
        + b"\0"
        + text
        + b"\0\0"
    )


def seven(names: list[str], *, packed: str = "") -> bytes:
    header, before = seven_header(names), b"data of files"
    if packed:
        one = {"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 1 << 16}
        two = {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}
        coder = b"\x23\3\1\1\5\x5d" + struct.pack("<I", 1 << 16) if packed == "lzma" else b"\x21\x21\1\x08"
        data = lzma.compress(header, lzma.FORMAT_RAW, filters=[one if packed == "lzma" else two])
        place = b"\6" + number(len(before)) + b"\1\x09" + number(len(data)) + b"\0"
        length = number(len(header))
        before, header = (
            before + data, b"\x17" + place + b"\7\x0b\1\0\1" + coder + b"\x0c" + length + b"\0\0",
        )  # fmt: skip
    start = struct.pack("<QQI", len(before), len(header), 0)
    return b"7z\xbc\xaf\x27\x1c\0\4" + bytes(4) + start + before + header


def variable(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([128 | value & 127]) + variable(value >> 7)


def rar5_block(body: bytes, data: bytes = b"") -> bytes:
    return bytes(4) + variable(len(body)) + body + data


def rar5(names: list[str], *, locked: bool = False) -> bytes:
    blocks = [rar5_block(b"\1\0\0")] + ([rar5_block(b"\4\0\0\0")] if locked else [])
    for text in names:
        name = text.encode()
        body = (
            b"\2\2"
            + variable(300)
            + b"\6"
            + variable(999)
            + b"\x20"
            + bytes(8)
            + b"\0\0"
            + variable(len(name))
            + name
        )
        blocks.append(rar5_block(body, b"x" * 300))
    return b"Rar!\x1a\7\1\0" + b"".join(blocks) + rar5_block(b"\5\0\0")


def rar4(names: list[str]) -> bytes:
    blocks = [struct.pack("<HBHH6x", 0, 0x73, 0, 13)]
    for number_, text in enumerate(names):
        large = number_ % 2
        name = text.encode() + (b"\0coded" if large else b"")
        high = bytes(8) if large else b""
        head = struct.pack("<HBHH", 0, 0x74, 0x8000 | 0x100 * large, 32 + len(high) + len(name))
        head += struct.pack("<IIBIIBBHI", 50, 99, 0, 0, 0, 29, 0x30, len(name), 0)
        blocks.append(head + high + name + b"y" * 50)
    return b"Rar!\x1a\7\0" + b"".join(blocks) + struct.pack("<HBHH", 0, 0x7B, 0, 7)


def listed(data: bytes, content: str) -> list[str]:
    return listed_names(Held(data, "x"), content)


@pytest.mark.parametrize("packed", ["", "lzma", "lzma2"])
def test_names_of_a_7z(packed: str) -> None:
    assert listed(seven(NAMES, packed=packed), "7z") == NAMES


def test_names_of_a_rar() -> None:
    assert listed(rar5(NAMES), "rar") == NAMES
    assert listed(rar4(NAMES), "rar") == NAMES


def rar4_unicode(plain: bytes, coded: bytes) -> bytes:
    name = plain + b"\0" + coded
    head = struct.pack("<HBHH", 0, 0x74, 0x8200, 32 + len(name))
    head += struct.pack("<IIBIIBBHI", 0, 99, 0, 0, 0, 29, 0x30, len(name), 0)
    return b"Rar!\x1a\7\0" + struct.pack("<HBHH6x", 0, 0x73, 0, 13) + head + name


@pytest.mark.parametrize(
    ("plain", "coded", "name"),
    [
        # it ends within a letter
        (b"??.txt", b"\x04\x63\x3cx\x3d\x3e\x04\x02", None),
        # two below the high byte, then four as in the plain name
        (b"__.exe", b"\x04\x5c\x3c\x3d\x02", "\u043c\u043d.exe"),
        # the plain name is harmless, the other one leads out
        (b"a.txt", b"\0\0../.\0.sh", "../..sh"),
        (b"ab", b"\x30\xc0\x80\x01", "\u3062\u3063"),
    ],
)
def test_the_name_that_programs_take(plain: bytes, coded: bytes, name: str | None) -> None:
    names = listed(rar4_unicode(plain, coded), "rar")
    assert names == ([name] if name else [])


def test_names_of_another_code_page_stay_different() -> None:
    data = rar4(["x"]).replace(b"x", b"\x8f")
    assert listed(data, "rar") == ["\\x8f"]


def test_what_hides_its_names_has_none() -> None:
    assert listed(rar5(NAMES, locked=True), "rar") == []
    assert listed(b"7z\xbc\xaf\x27\x1c\0\4" + bytes(40), "7z") == []
    assert listed(b"Rar!\x1a\7\2\0" + bytes(40), "rar") == []
    assert listed(rar5(NAMES), "zstd") == []


def test_names_before_the_break_are_kept() -> None:
    whole = rar5(NAMES)
    assert listed(whole[: whole.index(b"run me.exe") + 30], "rar") == NAMES[:2]


def test_no_more_than_a_reader_wants() -> None:
    assert len(listed(rar5(["a"] * (MOST_NAMES + 5)), "rar")) == MOST_NAMES


@given(st.sampled_from([seven(NAMES), seven(NAMES, packed="lzma"), rar5(NAMES), rar4(NAMES)]), st.data())
def test_any_bytes_are_walked(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 8))):
        changed[draw.draw(st.integers(6, len(data) - 1))] = draw.draw(st.integers(0, 255))
    names = listed(bytes(changed), "7z" if data[:2] == b"7z" else "rar")
    assert all(isinstance(name, str) for name in names)
