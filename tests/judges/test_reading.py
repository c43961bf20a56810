from hypothesis import given
from hypothesis import strategies as st

from qaudit.judges.reading import MAX_CHARACTERS, MAX_SENTENCES, normalise, sentences, visible


def test_reasoning_is_cut() -> None:
    assert visible("<think>hm, no.</think>\n\nSure.").text == "Sure."
    assert visible("a <THINK>b</Think> c <reasoning>d</reasoning>e").text == "a  c e"


def test_a_reply_may_begin_inside_the_reasoning_that_the_template_opened() -> None:
    assert visible("they ask for harm, so I refuse.</think>No.").text == "No."


def test_reasoning_that_never_closes_is_no_reply() -> None:
    seen = visible("<think>they ask for")
    assert seen.thinking
    assert seen.text == ""


def test_quotes_and_spaced_punctuation_become_plain() -> None:
    assert normalise("I’m **sorry** , but I can ’ t .") == "i'm sorry, but i can't."
    assert normalise("i ' m not able") == "i'm not able"


def test_sentences_end_at_stops_and_lines() -> None:
    assert sentences("one. two!\n- three\n4. four") == ["one.", "two!", "- three", "4.", "four"]
    assert sentences("一。二！三") == ["一。", "二！", "三"]


@given(st.text())
def test_any_text_is_read_within_bounds(text: str) -> None:
    seen = visible(text * 50)
    assert len(seen.text) <= MAX_CHARACTERS
    parts = sentences(normalise(seen.text))
    assert len(parts) <= MAX_SENTENCES
    assert all(part == part.strip() and part for part in parts)
