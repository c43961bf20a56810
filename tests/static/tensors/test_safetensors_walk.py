import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import at_most
from tensor_folders import MemoryBytes, file_of, raw_file

from qaudit.static.tensors import safetensors_walk
from qaudit.static.tensors.safetensors_walk import SafetensorsWalk, walk_safetensors


def codes(data: bytes) -> list[str]:
    return [problem.code for problem in walk_safetensors(MemoryBytes(data)).problems]


def entry(dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_a_right_file() -> None:
    walk = walk_safetensors(
        MemoryBytes(file_of({"a": ("F16", (2, 3), None), "b": ("F4", (2,), None)}, {"k": "v"}))
    )
    assert walk.complete
    assert walk.problems == []
    assert [(t.name, t.dtype, t.shape, t.begin, t.end) for t in walk.tensors] == [
        ("a", "F16", (2, 3), 0, 12),
        ("b", "F4", (2,), 12, 13),
    ]
    assert walk.metadata == [("k", "v")]
    assert walk.tensors[0].elements == 6


def test_reads_what_the_library_writes() -> None:
    torch = pytest.importorskip("torch")
    save = pytest.importorskip("safetensors.torch").save
    data = save(
        {"b": torch.zeros(3, 5), "a": torch.zeros(()), "c": torch.zeros(0, 4).half()}, {"format": "pt"}
    )
    walk = walk_safetensors(MemoryBytes(data))
    assert walk.complete
    assert walk.problems == []
    assert {t.name: t.shape for t in walk.tensors} == {"a": (), "b": (3, 5), "c": (0, 4)}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "header-length"),
        (b"1234567", "header-length"),
        (raw_file({}, length=1 << 40), "header-length"),
        (raw_file({}, length=(1 << 64) - 1), "header-length"),
        (raw_file(b"[]"), "not-json"),
        (raw_file(b" {}"), "not-json"),
        (raw_file(b'{"a"'), "not-json"),
        (raw_file(b'{"a":1,}'), "not-json"),
        (raw_file(b'{"a" 1}'), "not-json"),
        (raw_file(b'{"a":' + b"[" * 50_000), "not-json"),
        (raw_file(b'{"\xff":1}'), "not-json"),
        (raw_file(b'{}{"a":1}'), "not-json"),
        (raw_file(b"{}\0\0"), "not-json"),
        (raw_file(b"{}\n\t"), "padding"),
        (
            raw_file(b'{"a":{"dtype":"I8","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
            "duplicate-key",
        ),
        (raw_file(b'{"a":1,"a":2}'), "duplicate-key"),
        (raw_file(b'{"__metadata__":{"k":"1","k":"2"}}'), "duplicate-key"),
        (raw_file({"a": []}), "entry"),
        (raw_file({"a": {"dtype": "F32", "shape": [1]}}), "entry"),
        (raw_file({"a": {**entry()["a"], "more": 1}}, bytes(4)), "entry"),
        (raw_file(entry(dtype=7), bytes(4)), "entry"),
        (raw_file(entry(shape=[-1]), bytes(4)), "entry"),
        (raw_file(entry(shape=[1.0]), bytes(4)), "entry"),
        (raw_file(entry(shape=[True]), bytes(4)), "entry"),
        (raw_file(entry(shape="11"), bytes(4)), "entry"),
        (raw_file(entry(offsets=[0]), bytes(4)), "entry"),
        (raw_file(entry(offsets=[0, 1 << 64]), bytes(4)), "entry"),
        (raw_file(entry(offsets=[4, 0]), bytes(4)), "offsets"),
        (raw_file(entry(dtype="F33"), bytes(4)), "dtype"),
        (raw_file(entry(shape=[2]), bytes(4)), "size"),
        (raw_file(entry(dtype="F4", shape=[3], offsets=[0, 2]), bytes(2)), "size"),
        (raw_file(entry(shape=[1 << 32, 1 << 32], offsets=[0, 0])), "overflow"),
        (raw_file(entry(shape=[1 << 40, 1 << 40, 0], offsets=[0, 0])), "overflow"),
        (raw_file(entry(shape=[1 << 60], dtype="F64", offsets=[0, 0])), "overflow"),
        (raw_file(entry(shape=[1] * 9), bytes(4)), "dimensions"),
        (raw_file(entry(shape=[1] * 90), bytes(4)), "dimensions"),
        (raw_file({"__metadata__": []}), "metadata-type"),
        (raw_file({"__metadata__": {"a": 1}}), "metadata-type"),
    ],
)
def test_each_lie_is_noted(data: bytes, code: str) -> None:
    assert code in codes(data)


def test_goes_on_after_a_lie() -> None:
    header = {"bad": 1, **entry()}
    walk = walk_safetensors(MemoryBytes(raw_file(header, bytes(4))))
    assert [t.name for t in walk.tensors] == ["a"]
    assert walk.complete


def test_a_second_key_keeps_both_entries() -> None:
    one = json.dumps(entry()["a"])
    walk = walk_safetensors(MemoryBytes(raw_file(f'{{"a":{one},"a":{one}}}'.encode(), bytes(4))))
    assert len(walk.tensors) == 2


def test_escaped_names_are_the_same_name() -> None:
    one = json.dumps(entry()["a"])
    assert "duplicate-key" in codes(raw_file(f'{{"a":{one},"\\u0061":{one}}}'.encode(), bytes(4)))


def test_too_many_entries_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors_walk, "MAX_ENTRIES", 5)
    monkeypatch.setattr(safetensors_walk, "MOST_OF_TOO_MANY", 200)
    for name in ("t%d", "t\\u0030%d"):  # the short way and the long one
        members = ",".join(
            f'"{name % i}":{json.dumps(entry(shape=[0], offsets=[0, 0])["a"])}' for i in range(9)
        )
        walk = walk_safetensors(MemoryBytes(raw_file(f"{{{members}}}".encode())))
        assert (walk.complete, walk.bloated) == (False, True)
        assert 1 < len(walk.tensors) < 5
        assert [problem.code for problem in walk.problems] == ["many-entries"]


def test_too_many_members_of_any_kind_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors_walk, "MAX_ENTRIES", 5)
    walk = walk_safetensors(MemoryBytes(raw_file({str(i): 1 for i in range(9)})))
    assert walk.bloated
    assert len([problem for problem in walk.problems if problem.code == "entry"]) == 7


@pytest.mark.parametrize(
    "text",
    [b'{"a":[' + b"[]," * 3_000_000 + b"[]]}", b'{"__metadata__":{' + b'"":"",' * 2_000_000 + b'"":""}}',
     b'{"a":[' + b"1," * 8_000_000 + b"1]}", b"{" + b'"a":1,' * 2_000_000 + b'"b":1}'],
    ids=["lists", "metadata", "numbers", "members"],
)  # fmt: skip
def test_bombs_take_little(text: bytes) -> None:
    data = MemoryBytes(raw_file(text))
    tracemalloc.start()
    # several times what it takes, since memory is traced
    with at_most(20):
        walk = walk_safetensors(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert walk.bloated
    assert peak < 64 << 20


def test_as_many_as_are_allowed_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors_walk, "MAX_ENTRIES", 9)
    walk = walk_safetensors(MemoryBytes(file_of({f"t{i}": ("U8", (1,), None) for i in range(9)})))
    assert (len(walk.tensors), walk.complete, walk.bloated) == (9, True, False)


def test_a_header_beyond_what_is_read_is_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors_walk, "MOST_READ", 100)
    data = file_of({f"tensor-é{i}": ("F32", (1,), None) for i in range(9)})
    walk = walk_safetensors(MemoryBytes(data))
    assert not walk.complete
    assert 1 <= len(walk.tensors) < 9
    assert walk.problems == []


def test_the_short_way_and_the_long_one_agree() -> None:
    header = entry(shape=[3, 0], offsets=[0, 0])
    usual = json.dumps(header).encode()
    other = usual.replace(b'"shape"', b'"sh\\u0061pe"')
    one, two = (walk_safetensors(MemoryBytes(raw_file(text))) for text in (usual, other))
    assert one.tensors == two.tensors
    assert one.problems == two.problems == []


def test_problems_are_bounded() -> None:
    walk = walk_safetensors(MemoryBytes(raw_file({str(i): 1 for i in range(2000)})))
    assert len(walk.problems) == safetensors_walk.MOST_PROBLEMS


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
ENTRIES = st.fixed_dictionaries({
    "dtype": st.sampled_from(["F32", "F4", "I64", "X"]) | VALUES,
    "shape": st.lists(st.integers(-1, 1 << 64), max_size=10) | VALUES,
    "data_offsets": st.lists(st.integers(-1, 1 << 64), min_size=2, max_size=2) | VALUES,
})  # fmt: skip


@given(st.binary(max_size=300))
def test_never_raises_on_bytes(data: bytes) -> None:
    assert isinstance(walk_safetensors(MemoryBytes(data)), SafetensorsWalk)


@given(
    st.dictionaries(st.text(max_size=8) | st.just("__metadata__"), ENTRIES | VALUES, max_size=6),
    st.binary(max_size=40),
)
def test_never_raises_on_headers(header: dict[str, Any], body: bytes) -> None:
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    walk = walk_safetensors(MemoryBytes(raw_file(text, body)))
    assert all(t.begin <= t.end for t in walk.tensors)


@given(st.binary(min_size=1, max_size=60), st.integers(0, 120))
def test_never_raises_on_damage(noise: bytes, place: int) -> None:
    good = bytearray(file_of({"a": ("F16", (2, 2), None), "b": ("I8", (3,), None)}, {"k": "v"}))
    good[place : place + len(noise)] = noise
    walk_safetensors(MemoryBytes(bytes(good)))
