import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.version_order import at_least, has_order


@pytest.mark.parametrize(
    ("version", "least"),
    [
        ("2", "2"),
        ("2.0", "2"),
        ("10", "9"),
        ("1.10", "1.9"),
        ("1+core.b40fce433795.seed20260", "1"),
        ("2", "2rc1"),
    ],
)
def test_newer_or_the_same(version: str, least: str) -> None:
    assert at_least(version, least)


@pytest.mark.parametrize(
    ("version", "least"),
    [
        ("1", "2"),
        ("9", "10"),
        ("1.9", "1.10"),
        ("2rc1", "2"),
        ("new", "1"),
        ("2", "old"),
        ("", "0"),
        ("1", ""),
    ],
)
def test_older_or_without_an_order(version: str, least: str) -> None:
    assert not at_least(version, least)


@given(st.text(max_size=30))
def test_any_text_has_an_order_or_has_not(text: str) -> None:
    assert at_least(text, text) == has_order(text)
    assert not (at_least(text, "2") and at_least("1", text))
