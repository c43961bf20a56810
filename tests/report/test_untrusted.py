import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.report.untrusted import encodable, one_line, presentable

ANY = st.text(st.characters(), max_size=60)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain ä 中文 😀\ttab\nline", "plain ä 中文 😀\ttab\nline"),
        ("\x00\x1b[31m", "‹U+0000›‹U+001B›[31m"),
        ("a\r\nb", "a‹U+000D›\nb"),
        ("\u202egpj.exe\u2066", "‹U+202E›gpj.exe‹U+2066›"),
        ("pay\u200bpal\u00ad\ufeff", "pay‹U+200B›pal‹U+00AD›‹U+FEFF›"),
        ("\ud800\U000e0041", "‹U+D800›‹U+E0041›"),
    ],
)
def test_hidden_characters_are_spelled_out(raw: str, shown: str) -> None:
    assert presentable(raw) == shown


def test_long_text_is_cut_and_the_cut_is_told() -> None:
    assert presentable("x" * 100_000, 10) == "xxxxxxxxxx… (100,000 characters)"
    assert presentable("x" * 10, 10) == "x" * 10


@given(ANY)
def test_presentable_text_can_be_encoded_and_is_safe_on_a_terminal(text: str) -> None:
    shown = presentable(text)
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert not any(ord(c) < 32 and c not in "\t\n" for c in shown)
    assert "\x7f" not in shown
    assert len(one_line(text).splitlines()) <= 1


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_encodable_keeps_what_can_be_kept(text: str) -> None:
    assert encodable(text) == text


def test_encodable_replaces_lone_surrogates_only() -> None:
    assert encodable("a\ud800b\x00\U0001f600") == "a\ufffdb\x00\U0001f600"
