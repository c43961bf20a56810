from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateSyntaxError, nodes

from qaudit.sandboxed_templates import chat_environment
from qaudit.static.templates.folding import MOST_CHARACTERS, folded


def fold(expression: str) -> Any:
    (output,) = chat_environment().parse("{{ " + expression + " }}").body
    assert isinstance(output, nodes.Output)
    return folded(output.nodes[0])


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'__cl' ~ 'ass__'", "__class__"),
        ("'__cl' + 'ass__'", "__class__"),
        ("'__ssalc__'[::-1]", "__class__"),
        ("'__ssalc__'|reverse|string", "__class__"),
        ("['__','class','__']|join", "__class__"),
        ("''.join(['a', 'b'])", "ab"),
        ("'%c%cx' % (95, 95)", "__x"),
        ("'%s%s'|format('a', 'b')", "ab"),
        ("'{}{}'.format('a', 'b')", "ab"),
        ("'--x--'|replace('-', '_')", "__x__"),
        ("'ABC'|lower", "abc"),
        ("'\\x5f\\x5f'", "__"),
        ("'a,b'.split(',')[1]", "b"),
        ("'abc'|first", "a"),
        ("2 * 3 + 1", 7),
        ("-7 // 2", -4),
    ],
)
def test_constants_are_worked_out(expression: str, value: Any) -> None:
    assert fold(expression) == value


@pytest.mark.parametrize(
    "expression",
    ["x", "'a' * 99999999", "('a' * 4000) * 4000", "'%0999999999d' % 1", "'a'|center(9)", "9 ** 9", "1 / 0", "'a' - 1",
     "['a'] * 9999999", "'{0.__class__}'.format('')", "''|zfill(99999999)", "'a'|replace('a', 'b' * 4000) * 3000"],
)  # fmt: skip
def test_what_is_unknown_or_large_is_left_alone(expression: str) -> None:
    assert fold(expression) is ...


@given(st.text(alphabet="'\"~+*[]()|%a9 ,:-", max_size=60))
def test_any_expression_folds_to_something_small_or_nothing(text: str) -> None:
    try:
        body = chat_environment().parse("{{ " + text + " }}").body
    except TemplateSyntaxError:
        return
    for output in body:
        value = folded(output.nodes[0]) if isinstance(output, nodes.Output) else ...
        assert not isinstance(value, str) or len(value) <= MOST_CHARACTERS
