from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_kit import LETTERS, MERGES, SPECIAL, TEXTS, added, tokenizer_json

from qaudit.static.vocabulary.tokenizer_json import MAX_DEPTH, MAX_ID, read_tokenizer
from qaudit.static.vocabulary.tokens import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def test_an_honest_file_gives_its_vocabulary() -> None:
    found = read_tokenizer("t.json", tokenizer_json())
    assert found is not None
    assert list(found.view.tokens) == [*TEXTS, *SPECIAL]
    assert list(found.view.merges) == MERGES
    assert list(found.view.kinds) == [NORMAL] * len(TEXTS) + [CONTROL] * 3
    assert found.view.added[SPECIAL[0]] == (len(TEXTS), frozenset({"special"}))
    assert (found.problems, found.clashes) == ([], [])
    assert [c.type for c in found.components if c.part == "pre_tokenizer"] == [
        "Sequence",
        "Split",
        "ByteLevel",
    ]


def test_merges_may_be_pairs() -> None:
    found = read_tokenizer("t.json", tokenizer_json(model={"merges": [["t", "h"], ["th", "e"]]}))
    assert found is not None
    assert list(found.view.merges) == ["t h", "th e"]


def test_a_unigram_model_has_scores() -> None:
    model = {"type": "Unigram", "vocab": [["<unk>", 0], ["a", -1.5]], "unk_id": 0, "merges": None}
    found = read_tokenizer("t.json", tokenizer_json(model=model, added_tokens=[]))
    assert found is not None
    assert list(found.view.scores) == [0.0, -1.5]
    assert list(found.view.kinds) == [UNKNOWN, NORMAL]


def test_bytes_and_added_words_have_their_kinds() -> None:
    model = {"byte_fallback": True, "vocab": {"<0x41>": 0, "a": 1}, "merges": []}
    spec = tokenizer_json(model=model, added_tokens=[added(2, "word", special=False)])
    found = read_tokenizer("t.json", spec)
    assert found is not None
    assert list(found.view.kinds) == [BYTE, NORMAL, USER_DEFINED]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"added_tokens": [added(0, "<x>")]}, "is 'a' in the vocabulary"),
        ({"added_tokens": [added(90, "a")]}, "has id 0 in the vocabulary"),
        ({"model": {"vocab": {"a": 0, "b": 0}}}, "'a' and 'b'"),
    ],
)
def test_clashes_are_noted(changes: dict[str, Any], told: str) -> None:
    found = read_tokenizer("t.json", tokenizer_json(**changes))
    assert found is not None
    assert any(told in text for _, text in found.clashes)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"vocab": {"a": "0"}}}, {"model": {"vocab": {"a": -1}}}, {"model": {"vocab": {"a": MAX_ID}}},
        {"model": {"vocab": {"a": True}}}, {"model": {"vocab": 5}}, {"model": {"merges": 5}}, {"model": {"merges": [5]}},
        {"added_tokens": 5}, {"added_tokens": [{"id": -1, "content": "x"}]}, {"added_tokens": [{"id": 1}]},
        {"model": {"type": "Morse"}}, {"model": {"vocab": [["a"]]}},
    ],
)  # fmt: skip
def test_what_is_not_as_the_format_says_is_noted(changes: dict[str, Any]) -> None:
    found = read_tokenizer("t.json", tokenizer_json(**changes))
    assert found is not None
    assert found.problems


def test_steps_within_steps_are_bounded() -> None:
    step: dict[str, Any] = {"type": "NFC"}
    for _ in range(300):
        step = {"type": "Sequence", "normalizers": [step, {"type": "NFC"}]}
    found = read_tokenizer("t.json", tokenizer_json(normalizer=step))
    assert found is not None
    assert any(str(MAX_DEPTH) in told for _, told in found.problems)
    assert max(len(component.place) for component in found.components) < 1000


def test_another_librarys_file_is_none() -> None:
    assert read_tokenizer("t.json", {"class_name": "Tokenizer", "config": {}}) is None


@given(JSON, JSON, JSON, JSON)
def test_any_json_is_read(vocabulary: object, merges: object, added_tokens: object, step: object) -> None:
    spec = tokenizer_json(
        model={"vocab": vocabulary, "merges": merges},
        added_tokens=added_tokens,
        normalizer=step,
        decoder=step,
    )
    found = read_tokenizer("t.json", spec)
    assert found is not None
    assert len(found.view.kinds) == len(found.view.tokens)
    assert LETTERS
