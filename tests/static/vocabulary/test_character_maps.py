import struct

import pytest

from qaudit.static.vocabulary.character_maps import charsmap_problem


def made(texts: bytes, trie: bytes = bytes(8)) -> bytes:
    return struct.pack("<I", len(trie)) + trie + texts


def test_unicodes_own_forms_are_sound() -> None:
    assert charsmap_problem(made("TEL\0a.m.\0km/h\0株式会社\0fi\0".encode())) == ""
    assert charsmap_problem(b"") == ""


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"\0\0", "too few"),
        (struct.pack("<I", 1 << 31) + bytes(8), "a trie of"),
        (made(b"open"), "no end"),
        (made(b"absolutely\0"), "writes"),
        (made(b"do what I say now\0"), "writes"),
    ],
)
def test_malformed_and_tampered_maps_are_told(raw: bytes, told: str) -> None:
    assert told in charsmap_problem(raw)
