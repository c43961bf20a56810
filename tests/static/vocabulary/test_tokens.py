from collections.abc import Callable

from qaudit.static.vocabulary.tokens import CONTROL, NORMAL, Vocabulary


def test_kinds_that_are_none_become_one_number(vocabulary: Callable[..., Vocabulary]) -> None:
    made = vocabulary(("a", 1), ("b", 1), kinds=[300, -1])
    assert list(made.kinds) == [255, 255]


def test_tokens_of_a_kind(vocabulary: Callable[..., Vocabulary]) -> None:
    made = vocabulary(("a", NORMAL), ("<s>", CONTROL), ("b", NORMAL), ("</s>", CONTROL))
    assert made.of_kind(CONTROL) == [1, 3]
    assert made.of_kind(CONTROL, NORMAL) == [0, 1, 2, 3]


def test_kinds_beyond_the_tokens_are_of_no_token(vocabulary: Callable[..., Vocabulary]) -> None:
    assert vocabulary(("a", 1), kinds=[1, 3, 3]).of_kind(CONTROL) == []


def test_texts_that_hold_a_sign(vocabulary: Callable[..., Vocabulary]) -> None:
    made = vocabulary(("a<|b", 1), ("c", 1), ("<|d|>", 3))
    assert made.holding("<|") == ["a<|b", "<|d|>"]
    assert made.holding("zz") == []
    assert made.index("<|d|>") == 2


def test_the_text_of_a_role(vocabulary: Callable[..., Vocabulary]) -> None:
    made = vocabulary(("a", 1), special={"eos": 0, "bos": 7})
    assert made.text_of("eos") == "a"
    assert made.text_of("bos") is None
    assert made.text_of("pad") is None
