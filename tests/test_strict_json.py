import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from qaudit.strict_json import load_strict, parse_as

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Pair(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    left: int
    right: tuple[str, ...]


@given(JSON_VALUES)
def test_reads_what_the_standard_writer_writes(value: object) -> None:
    assert load_strict(json.dumps(value).encode()) == value


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_one_line(raw: bytes) -> None:
    message = ""
    try:
        load_strict(raw)
    except ValueError as error:
        message = str(error)
    assert message == "" or message.isprintable()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"a": 1, "a": 1}', "appears twice"),
        (b'{"x": [{"a": 1, "b": 2, "a": 3}]}', "appears twice"),
        (b'{"a": 1, "\\u0061": 2}', "appears twice"),
        (b'{"a": NaN}', "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e999]", "out of range"),
        (b"[1,]", "not JSON"),
        (b"[1] x", "at byte 4"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5000, "integer string conversion"),
    ],
)
def test_refuses_texts_with_two_meanings(raw: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        load_strict(raw)


def test_parse_as_builds_the_model() -> None:
    assert parse_as(Pair, b'{"left": 1, "right": ["a"]}') == Pair(left=1, right=("a",))


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"left": "1", "right": []}', "left: "),
        (b'{"left": 1, "right": [2]}', "right.0: "),
        (b'{"left": 1, "right": [], "more": 0}', "more: "),
        (b'{"left": 1}', "right: "),
        (b"[]", "object"),
        (b'{"left": 1, "left": 1, "right": []}', "appears twice"),
    ],
)
def test_parse_as_names_the_key(raw: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_as(Pair, raw)


def test_messages_never_show_the_value_or_raw_keys() -> None:
    raw = b'{"left": "\\u001b[31mSECRET", "right": [], "\\u001b]0;x": 1}'
    with pytest.raises(ValueError, match="left") as caught:
        parse_as(Pair, raw)
    assert "SECRET" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
