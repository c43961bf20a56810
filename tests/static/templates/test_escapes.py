import pytest
from template_kit import CHATML

from qaudit.sandboxed_templates import chat_environment
from qaudit.static.templates.escapes import escapes


def kinds(text: str) -> dict[str, int]:
    return {
        note.kind: note.grade
        for note in sorted(escapes(chat_environment().parse(text)), key=lambda n: n.grade)
    }


@pytest.mark.parametrize(
    "expression",
    ["''.__class__", "''['__class__']", "''['__cl' ~ 'ass__']", "''|attr('__cl' + 'ass__')", "['']|map(attribute='__class__')",
     "['']|map('attr', '__class__')", "[x]|selectattr('__globals__')", "[x]|groupby('a.__class__.b')", "x|sort(attribute='__dict__')",
     "dict(__class__=1)|list|first", "''|attr('\\x5f\\x5fclass\\x5f\\x5f')", "''|attr('%c%cclass%c%c'|format(95,95,95,95))",
     "x.gi_frame.f_globals", "__import__('os')", "'__clas' ~ 's__'", "''|attr(['__class', '__']|join)"],
)  # fmt: skip
def test_internals_are_certain(expression: str) -> None:
    assert kinds("{{ " + expression + " }}")["escape"] == 2


@pytest.mark.parametrize(
    "expression",
    [
        "lipsum",
        "self",
        "config.items()",
        "cycler.something",
        "joiner.x",
        "namespace.x",
        "'a'.encode()",
        "'%c'|format(65)",
    ],
)
def test_names_without_use_are_told(expression: str) -> None:
    assert kinds("{{ " + expression + " }}") == {"escape": 1}


@pytest.mark.parametrize(
    "expression", ["''|attr(messages[0].content)", "[x]|map('attr', y)", "[x]|map(attribute=y)"]
)
def test_attributes_by_names_that_are_worked_out(expression: str) -> None:
    assert kinds("{{ " + expression + " }}") == {"dynamic-attribute": 0}


@pytest.mark.parametrize(
    ("expression", "grade"),
    [
        ("'{0.__class__}'.format(x)", 2),
        ("'{a.b}'.format_map(x)", 2),
        ("'{0[a]}'.format(x)", 2),
        ("x.format(1)", 1),
    ],
)
def test_formatting_that_reads_attributes(expression: str, grade: int) -> None:
    assert kinds("{{ " + expression + " }}") == {"str-format": grade}


@pytest.mark.parametrize("tag", ["include 'x'", "import 'x' as y", "from 'x' import y", "extends 'x'"])
def test_other_files(tag: str) -> None:
    assert kinds("{% " + tag + " %}") == {"other-file": 0}


@pytest.mark.parametrize(
    "text",
    [CHATML, "{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}", "{{ '{} {}'.format(x, y) }}",
     "{{ messages|map(attribute='content')|join(', ') }}", "{% set c = cycler('a', 'b') %}{{ c.next() }}",
     "{% set config = 3 %}{{ config }}", "{{ '%s: %s'|format(a, b) }}", "{{ messages|selectattr('role', 'equalto', 'user')|list }}"],
)  # fmt: skip
def test_what_templates_do_is_no_escape(text: str) -> None:
    assert kinds(text) == {}
