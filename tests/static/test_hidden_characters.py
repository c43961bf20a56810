import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import at_most

from qaudit.static import hidden_characters
from qaudit.static.hidden_characters import CONTROLS, MOST, UNSEEN, gravity, hidden, named, shown


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a\u202eb", "direction"), ("a\u2066b", "direction"), ("a\u200bb", "zero-width"), ("a\u2060b", "zero-width"),
        ("a\u200db", "zero-width"), ("a\U000e0041b", "tag"), ("a\U000e0100b", "selector"), ("a\x1b[31m", "control"),
        ("a\ufeff", "zero-width"), ("\u200b\u200d", "zero-width"),
    ],
)  # fmt: skip
def test_what_nobody_sees_is_told(text: str, kind: str) -> None:
    assert hidden(text)[0].kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "plain", "tab\tand\nline\r\n", "👩\u200d💻 and 🏳\ufe0f\u200d🌈", "می\u200cخواهم", "क्\u200dष", "\ufeffstart",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "é漢字", "",
    ],
)  # fmt: skip
def test_what_scripts_and_emoji_need_is_not(text: str) -> None:
    assert hidden(text) == []


@given(st.text())
def test_places_are_those_of_the_characters(text: str) -> None:
    for item in hidden(text):
        assert ord(text[item.at]) == item.code


def test_very_many_are_told_shortly() -> None:
    found = hidden("\u200b" * 5000)
    assert len(found) == MOST
    assert named(found) == (
        "U+200B (zero-width) at character 0, U+200B (zero-width) at character 1, "
        "U+200B (zero-width) at character 2, U+200B (zero-width) at character 3, "
        "U+200B (zero-width) at character 4 and 995 more"
    )


def test_evidence_is_ascii_and_short() -> None:
    assert shown("é\n") == r"'\xe9\n'"
    assert len(shown("a" * 500)) < 100


def test_a_name_has_no_use_for_any_of_them() -> None:
    unseen = re.compile(f"[{CONTROLS}{UNSEEN}]")
    for code in (0x00, 0x1B, 0xAD, 0x61C, 0x200B, 0x200D, 0x200E, 0x202E, 0x2066, 0x3164, 0xFEFF, 0xE0041):
        assert unseen.search(f"a{chr(code)}b")
    assert not unseen.search("model.layers.0.gewicht-\u00fc \u4e2d\u6587 \u0635")


@pytest.mark.parametrize("mark", ["\u200e", "\u200f", "\u061c"])
def test_marks_of_direction_are_told_where_nothing_is_written_so(mark: str) -> None:
    text = f"be{mark}careful"
    assert hidden(text) == []
    (found,) = hidden(text, marks=True)
    assert (found.at, found.kind, gravity([found])) == (2, "mark", "medium")
    assert hidden(f"{'מודל'} (7B){mark} and {'نموذج'}", marks=True) == []


@given(st.lists(st.sampled_from("a\u200e\u200fא"), max_size=40), st.integers(1, 5))
def test_a_mark_is_ordinary_within_reach_of_such_a_letter(letters: list[str], reach: int) -> None:
    text = "".join(letters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hidden_characters, "NEAR_A_MARK", reach)
        found = [item.at for item in hidden(text, marks=True)]
    assert found == [
        at
        for at, letter in enumerate(text)
        if letter in "\u200e\u200f" and "א" not in text[max(0, at - reach) : at + reach + 1]
    ]


def test_very_many_marks_take_no_time() -> None:
    with at_most(2):
        assert hidden(("\u200f" * 59 + "א") * 10_000, marks=True) == []


def test_graver_characters_keep_a_rule_s_own_severity() -> None:
    assert gravity(hidden("a\u202eb\u200ec", marks=True)) is None
