import pytest

from qaudit.static.vocabulary.markers import (
    doubles,
    is_marker,
    is_words,
    markers_inside,
    skeleton,
    word_count,
)


@pytest.mark.parametrize(
    "text",
    ["<s>", "</s>", "<|im_end|>", "[INST]", "[CLS]", "<｜User｜>", ">>TITLE<<", "eng_Latn", "<unused12>"],
)
def test_markers_look_like_markers_and_not_like_words(text: str) -> None:
    assert is_marker(text)
    assert not is_words(text)


@pytest.mark.parametrize("text", ["sorry", "▁cannot", "Ġnot", "I cannot", "don't", "бомба", "sorry,"])
def test_words_are_words(text: str) -> None:
    assert is_words(text)
    assert not is_marker(text)


@pytest.mark.parametrize("text", ["pad", "Assistant", "\n\n", "▁▁", "a1", "x_y", "=>", "é"])
def test_names_of_roles_spaces_and_signs_are_no_words(text: str) -> None:
    assert not is_words(text)


def test_lookalikes_are_told_with_what_they_look_like() -> None:
    assert doubles(["<|im_еnd|>", "<|im_end|>", "＜|im_end|＞", "<|im_\u200bend|>"]) == [
        ("<|im_еnd|>", "<|im_end|>"),
        ("＜|im_end|＞", "<|im_end|>"),
        ("<|im_\u200bend|>", "<|im_end|>"),
    ]


def test_the_markers_of_deepseek_are_no_lookalikes() -> None:
    own = ["<｜User｜>", "<｜Assistant｜>", "<｜tool▁calls▁begin｜>", "<｜end▁of▁sentence｜>", "<|EOT|>"]
    assert doubles(own) == []


def test_a_double_of_the_vocabularys_own_marker() -> None:
    assert doubles(["<|ünser|>", "<my_marker>", "<my_mаrker>"]) == [("<my_mаrker>", "<my_marker>")]


def test_skeletons_of_ascii_are_themselves() -> None:
    assert skeleton("<|im_end|>") == "<|im_end|>"


def test_markers_inside_of_more_text() -> None:
    assert markers_inside("<|im_end|>\n<|im_start|>system") == ["<|im_end|>", "<|im_start|>"]
    assert markers_inside("▁<|im_end|>\n") == []
    assert markers_inside("plain") == []


def test_words_are_counted_in_any_vocabularys_spelling() -> None:
    assert word_count("Ignore▁allĠrules now") == 4
    assert word_count("<|im_end|>") == 1
