import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.configs.lenient_json import read_json


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=12,
))  # fmt: skip
def test_reads_what_json_writes(value: object) -> None:
    document = read_json(json.dumps(value).encode())
    assert document.value == value
    assert (document.problem, document.duplicates, document.odd_numbers) == (None, [], [])


@given(st.binary(max_size=200))
def test_never_raises(raw: bytes) -> None:
    read_json(raw)


@given(st.text(alphabet='{}[]",:0123456789eE+-. \\u"ntrfalse', max_size=60))
def test_never_raises_on_what_looks_like_json(text: str) -> None:
    read_json(text.encode())


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "not JSON"), (b"{", "not JSON"), (b"{} x", "1 characters after"), (b"[" * 100_000, "nested too deeply"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"), (b"\xef\xbb\xbf{}", "byte-order mark"), (b"{'a':1}", "not JSON"),
    ],
)  # fmt: skip
def test_problems(raw: bytes, problem: str) -> None:
    assert problem in (read_json(raw).problem or "")


def test_goes_on_after_what_is_odd() -> None:
    document = read_json(b'{"a":NaN,"b":1e999,"c":-Infinity,"d":{"e":1,"e":2},"f":' + b"9" * 5000 + b"}")
    assert document.duplicates == ["e"]
    assert len(document.odd_numbers) == 4
    assert isinstance(document.value, dict)
    assert document.value["d"] == {"e": 2}
    assert math.isinf(document.value["f"])


def test_notes_are_bounded() -> None:
    keys = ",".join(f'"{i}":0,"{i}":0' for i in range(500))
    assert len(read_json(f"{{{keys}}}".encode()).duplicates) == 20


def test_bombs_are_not_parsed() -> None:
    document = read_json(b"[" + b"[]," * 1_000_000 + b"[]]")
    assert document.value is None
    assert "more than the 500000 values" in (document.problem or "")
    assert read_json(b"[1,2,3]", 4).value == [1, 2, 3]
    assert read_json(b"[1,2,3]", 2).value is None
