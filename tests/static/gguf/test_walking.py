import struct
from array import array

import pytest
from attacks.gguf_builder import ARRAY, BOOL, STRING, U8, U32, GgufBuilder, Tensor, small_model, string
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qaudit.static.gguf import walking
from qaudit.static.gguf.string_array import StringArray
from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.gguf.walking import walk_gguf


class Memory:
    name, local = "model.gguf", True

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


def walked(data: bytes) -> GgufWalk:
    return walk_gguf(Memory(data))


def codes(data: bytes) -> list[str]:
    return [problem.code for problem in walked(data).problems]


def raw(pairs: bytes, count: int = 1) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, count) + pairs


def pair(key: str, kind: int, content: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + content


def test_an_honest_file() -> None:
    walk = walked(small_model().build())
    assert walk.complete
    assert walk.problems == []
    assert (walk.version, walk.big_endian, walk.alignment) == (3, False, 32)
    assert walk.metadata["lab.large"] == 1 << 40
    assert walk.metadata["lab.flag"] is True
    assert walk.metadata["lab.numbers"] == array("i", [1, -2, 3])
    tokens = walk.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, StringArray)
    assert tokens.texts() == ["<s>", "</s>", "a", "é"]
    assert [(tensor.text, tensor.dims, tensor.type_id) for tensor in walk.tensors][1] == (
        "blk.0.attn_q.weight", (64, 3), 8,
    )  # fmt: skip
    assert walk.data_start is not None
    assert walk.data_start % 32 == 0
    assert walk.data_start - walk.header_end < 32


def swapped(version: int = 3) -> bytes:
    head = b"GGUF" + struct.pack(">IQQ", version, 1, 2)
    for key, content in (
        (b"a.n", struct.pack(">II", U32, 5)),
        (b"a.l", struct.pack(">IIQ2i", ARRAY, 5, 2, 1, -2)),
    ):
        head += struct.pack(">Q", len(key)) + key + content
    head += struct.pack(">Q", 1) + b"t" + struct.pack(">IQQIQ", 2, 8, 2, 0, 0)
    return head + bytes(-len(head) % 32) + bytes(64)


def test_big_endian() -> None:
    walk = walked(swapped())
    assert (walk.big_endian, walk.version, walk.complete) == (True, 3, True)
    assert walk.metadata == {"a.n": 5, "a.l": array("i", [1, -2])}
    assert walk.tensors[0].dims == (8, 2)


def test_version_one_has_short_counts() -> None:
    head = b"GGUF" + struct.pack("<III", 1, 1, 2)
    head += struct.pack("<I", 3) + b"a.n" + struct.pack("<II", U32, 5)
    head += struct.pack("<I", 3) + b"a.s" + struct.pack("<III", ARRAY, STRING, 2)
    head += struct.pack("<I", 2) + b"hi" + struct.pack("<I", 0)
    head += struct.pack("<I", 1) + b"t" + struct.pack("<IIIIQ", 2, 8, 2, 0, 0)
    walk = walked(head + bytes(-len(head) % 32) + bytes(64))
    assert (walk.version, walk.complete, walk.problems) == (1, True, [])
    strings = walk.strings("a.s")
    assert strings is not None
    assert list(strings) == [b"hi", b""]
    assert walk.tensors[0].dims == (8, 2)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ["truncated"]),
        (b"GGU", ["truncated"]),
        (b"GGUF\3\0", ["truncated"]),
        (b"PK\3\4" + bytes(40), ["magic"]),
        (b"FUGG" + GgufBuilder().build()[4:], ["swapped-magic"]),
        (GgufBuilder(version=4).build(), ["version"]),
        (GgufBuilder(version=0).build(), ["version"]),
        (GgufBuilder(pair_count=1 << 60).build(), ["count", "lost"]),
        (GgufBuilder(tensor_count=1 << 60).build(), ["count", "lost"]),
        (GgufBuilder(tensor_count=50).build(), ["truncated", "truncated"]),
        (raw(struct.pack("<Q", 1 << 63) + b"abcdefghijklmnop"), ["string-length"]),
        (raw(pair("a", STRING, struct.pack("<Q", 99))), ["string-length"]),
        (raw(pair("a", 13, b"1234")), ["value-type"]),
        (raw(pair("a", ARRAY, struct.pack("<IQ", 13, 1) + b"1234")), ["element-type"]),
        (raw(pair("a", ARRAY, struct.pack("<IQ", U8, 1 << 62))), ["array-length"]),
        (raw(pair("a", ARRAY, struct.pack("<IQ", STRING, 3) + bytes(20))), ["array-length"]),
        (raw(pair("a", ARRAY, struct.pack("<IQ", STRING, 2) + bytes(7) + b"\1" + bytes(8))), ["string-length"]),
        (raw(pair("a", BOOL, b"\2")), ["bool-byte"]),
        (raw(pair("a", ARRAY, struct.pack("<IQ", BOOL, 3) + b"\0\2\1")), ["bool-byte"]),
        (raw(pair("a", ARRAY, struct.pack("<IQIQB", ARRAY, 1, U8, 1, 7))), ["nested-array"]),
        (raw(pair("a", ARRAY, struct.pack("<IQ", ARRAY, 1) * 50 + struct.pack("<IQ", U8, 0))), ["nested-array", "nested-depth"]),
        (GgufBuilder(tensors=[Tensor(dimensions=1 << 20)]).build(), ["dimensions"]),
        (GgufBuilder(tensors=[Tensor(name_length=1 << 40)]).build(), ["string-length"]),
    ],
)  # fmt: skip
def test_each_break_of_the_format_is_noted(data: bytes, expected: list[str]) -> None:
    assert codes(data) == expected


def test_nested_arrays_are_walked_over() -> None:
    inner = struct.pack("<IQ", STRING, 2) + string("x") + string("") + struct.pack("<IQ3H", 2, 3, 1, 2, 3)
    walk = walked(raw(pair("a", ARRAY, struct.pack("<IQ", ARRAY, 2) + inner) + pair("b", U8, b"\5"), 2))
    assert walk.metadata == {"a": None, "b": 5}
    assert (walk.pairs[0].count, walk.pairs[0].element_type) == (2, ARRAY)


def test_what_is_too_large_to_keep_is_passed_over_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MAX_STRING", 10)
    monkeypatch.setattr(walking, "MAX_KEPT_ARRAY", 10)
    pairs = pair("a", STRING, string("x" * 11)) + pair("b", ARRAY, struct.pack("<IQ", U8, 11) + bytes(11))
    walk = walked(raw(pairs + pair("c", U8, b"\5"), 3))
    assert walk.metadata == {"a": None, "b": None, "c": 5}
    assert [problem.code for problem in walk.problems] == ["not-kept", "not-kept"]
    assert walk.complete


def test_counts_over_the_caps_end_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MAX_PAIRS", 2)
    pairs = b"".join(pair(f"k{i}", U8, b"\1") for i in range(3))
    walk = walked(raw(pairs, 3))
    assert ([p.code for p in walk.problems], len(walk.pairs), walk.complete) == (["many", "limit"], 2, False)
    monkeypatch.setattr(walking, "MAX_TENSORS", 1)
    walk = walked(GgufBuilder(tensors=[Tensor("a"), Tensor("b")]).build())
    assert ([p.code for p in walk.problems], len(walk.tensors), walk.complete) == (
        ["many", "limit"],
        1,
        False,
    )


def test_too_many_strings_end_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MAX_STRINGS", 3)
    assert codes(raw(pair("a", ARRAY, struct.pack("<IQ", STRING, 4) + bytes(32)))) == ["limit"]
    monkeypatch.setattr(walking, "MAX_NESTED", 3)
    empty = struct.pack("<IQ", U8, 0)
    assert codes(raw(pair("a", ARRAY, struct.pack("<IQ", ARRAY, 4) + empty * 4))) == ["nested-array", "limit"]


def test_long_names_are_cut() -> None:
    walk = walked(raw(pair("k" * 70000, U8, b"\1") + pair("b", U8, b"\5"), 2))
    assert [problem.code for problem in walk.problems] == ["long-key"]
    assert (len(walk.pairs[0].key), walk.metadata["b"]) == (walking.MAX_NAME, 5)


@settings(max_examples=100, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(st.data())
def test_no_bytes_break_the_walk(data: st.DataObject) -> None:
    honest = bytearray(small_model().build()[:1500])
    for at in data.draw(st.lists(st.integers(0, len(honest) - 1), max_size=12)):
        honest[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(honest)))
    walk = walked(bytes(honest[:end]))
    assert walk.header_end <= walk.size
    assert walk.complete or walk.problems
    assert len(walk.problems) < 100


@given(st.binary(max_size=300))
def test_no_noise_after_the_magic_breaks_the_walk(noise: bytes) -> None:
    walk = walked(b"GGUF\3\0\0\0" + noise)
    assert walk.complete or walk.problems
    assert walk.metadata is walk.metadata
