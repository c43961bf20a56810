import pytest

from qaudit.static.pickles.stand_ins import THING, as_latin, number_of, unescaped


@pytest.mark.parametrize(
    ("text", "plain"),
    [("os", "os"), ("\\x6fs", "os"), ("\\u006fs", "os"), ("\\157s", "os"), ("a\\", "a\\"), ("ü\\n", "ü\n")],
)
def test_escapes(text: str, plain: str) -> None:
    assert unescaped(text) == plain


def test_numbers_of_lines() -> None:
    assert [number_of(line) for line in (b"7", b"-7", b"", b"9" * 50, b"x")] == [7, -1, -1, -1, -1]


def test_bytes_written_as_text() -> None:
    assert as_latin("\x80\x04é".encode()) == b"\x80\x04\xe9"
    assert repr(THING) == "…"
