from array import array

import pytest

from qaudit.static.gguf.walk import (
    ARRAY,
    BOOL,
    STRING,
    U32,
    GgufWalk,
    KvPair,
    TensorEntry,
    printable,
    type_name,
)


def a_walk() -> GgufWalk:
    walk = GgufWalk("m.gguf", 1000, version=3)
    walk.pairs = [
        KvPair(b"general.architecture", STRING, 24, b"llama"),
        KvPair(b"n", U32, 60, 7),
        KvPair(b"n", U32, 80, 8),
        KvPair(b"flag", BOOL, 90, True),
        KvPair(b"list", ARRAY, 99, array("i", [1]), 5, 1, 16),
        KvPair(b"bad\xff", STRING, 120, b"\xfe"),
    ]
    return walk


def test_of_equal_keys_the_first_counts() -> None:
    walk = a_walk()
    assert walk.metadata["n"] == 7
    pair = walk.pair("n")
    assert pair is not None
    assert pair.offset == 60
    assert walk.pair("m") is None


def test_values_by_kind() -> None:
    walk = a_walk()
    assert walk.architecture == "llama"
    assert (walk.number("n"), walk.number("flag"), walk.number("general.architecture")) == (7, None, None)
    assert (walk.text("n"), walk.strings("list")) == (None, None)
    assert walk.metadata["bad\udcff"] == "\udcfe"


def test_places_are_printable() -> None:
    walk = a_walk()
    assert walk.place(walk.pairs[-1]) == "m.gguf:bad\\xff"
    assert walk.place_of(TensorEntry(b"a\x1b[31m", (1,), 0, 0, 0)) == "m.gguf:a\\x1b[31m"


@pytest.mark.parametrize(
    ("raw", "told"),
    [(b"plain", "plain"), (b"a\0b", "a\\x00b"), (b"x" * 300, "x" * 99 + "…"), ("\u202e".encode(), "\\u202e")],
)
def test_shown(raw: bytes, told: str) -> None:
    assert printable(raw) == told


def test_types_have_names() -> None:
    walk = a_walk()
    assert [pair.type_name for pair in walk.pairs[3:5]] == ["bool", "array of i32"]
    assert type_name(77) == "unknown type 77"
