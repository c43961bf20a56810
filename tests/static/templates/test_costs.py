import pytest
from template_kit import CHATML

from qaudit.sandboxed_templates import chat_environment
from qaudit.static.templates.costs import costs, endless


def kinds(text: str) -> set[str]:
    template = chat_environment().parse(text)
    return {note.kind for note in (*costs(template), *endless(template))}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", "cost"),
        ("{% for a in range(0, 1000000000, 2) %}{% endfor %}", "cost"),
        ("{% for a in 'x' * 4000 %}{% for b in 'x' * 4000 %}y{% endfor %}{% endfor %}", "cost"),
        ("{% set x = range(99999999)|list %}", "cost"),
        ("{{ lipsum(99) }}", "cost"),
        ("{{ 'a' * 2000000000 }}", "huge-output"),
        ("{{ (('a' * 9000) * 9000)|upper }}", "huge-output"),
        ("{{ [1, 2] * 999999 }}", "huge-output"),
        ("{{ 'a'|center(2000000) }}", "huge-output"),
        ("{{ 'a'.ljust(2000000) }}", "huge-output"),
        ("{{ 9 ** 9 ** 9 }}", "huge-output"),
        ("{{ 9 ** x }}", "huge-output"),
        ("{{ '%02000000000d' % 1 }}", "huge-output"),
        ("{{ '%*d' % (2000000000, 1) }}", "huge-output"),
        ("{% macro f() %}{{ f() }}{% endmacro %}", "recursion"),
        ("{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}", "recursion"),
        ("{% for x in y recursive %}{{ loop([1]) }}{% endfor %}", "recursion"),
        ("{% if a %}" * 120 + "x" + "{% endif %}" * 120, "too-deep"),
    ],
)
def test_shapes_that_cost(text: str, kind: str) -> None:
    assert kind in kinds(text)


@pytest.mark.parametrize(
    "text",
    [CHATML, "{{ '-' * 80 }}", "{% for i in range(10) %}{% for j in range(10) %}x{% endfor %}{% endfor %}", "{{ x ** 2 }}",
     "{% macro f(x) %}{% if x %}{{ f(x.y) }}{% endif %}{% endmacro %}", "{{ x|tojson(indent=4) }}", "{{ '%s' % x }}",
     "{% for x in y recursive %}{% if x.z %}{{ loop(x.z) }}{% endif %}{% endfor %}", "{{ '%5.2f' % 3 }}"],
)  # fmt: skip
def test_what_templates_do_costs_nothing(text: str) -> None:
    assert kinds(text) == set()


def test_as_many_statements_as_no_template_has() -> None:
    branch = "{% if messages|length > 90 %}{{ 'x' }}{% endif %}"
    (note,) = costs(chat_environment().parse(branch * 6000))
    assert note.kind == "cost"
    assert "12001 statements" in note.text or "12000 statements" in note.text
    assert not list(costs(chat_environment().parse(branch * 2000)))
