import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.sandboxed_templates import TemplateProblem
from qaudit.static.templates.go_lexer import pieces, unquoted


def texts(source: str) -> list[str]:
    return [
        piece.text if piece.tokens is None else "{" + " ".join(t.text for t in piece.tokens) + "}"
        for piece in pieces(source)
    ]


def test_text_and_actions() -> None:
    assert texts("a{{ .X }}b") == ["a", "{.X}", "b"]
    assert texts('{{ if eq .Role "a}}b" }}') == ['{if eq .Role "a}}b"}']
    assert texts("{{ $x := (len `}}`) }}") == ["{$x := ( len `}}` )}"]


def test_blanks_are_trimmed_where_the_braces_say_so() -> None:
    assert texts("a \n{{- .X -}}\n b") == ["a", "{.X}", "b"]
    assert texts("a {{ .X }} b") == ["a ", "{.X}", " b"]
    assert texts("a {{-3}}") == ["a ", "{-3}"]
    assert texts("a {{/* said */}} b") == ["a ", " b"]
    assert texts("a {{- /* said */ -}} b") == ["a", "b"]


def test_lines_are_counted() -> None:
    assert [piece.line for piece in pieces("a\nb\n{{ .X }}\n\n{{- .Y\n}}\nz{{ .Z }}") if piece.tokens] == [
        3,
        5,
        7,
    ]


def test_literals() -> None:
    assert unquoted(r'"a\n\"\x41é\101"') == 'a\n"Aé' + "A"
    assert unquoted("`a\\n`") == "a\\n"


@pytest.mark.parametrize("source", ["{{", "{{ .X", "{{ /* x }}", '{{ "x }}', "{{ ; }}", "{{ .X\x00 }}"])
def test_what_is_not_whole_is_refused(source: str) -> None:
    with pytest.raises(TemplateProblem):
        list(pieces(source))


@given(st.text(alphabet='{}-. \n$"`abIf/*()|:=', max_size=80))
def test_any_text_is_read_or_refused(source: str) -> None:
    try:
        read = list(pieces(source))
    except TemplateProblem:
        return
    assert all(piece.text or piece.tokens for piece in read)
