import io
import json

import pytest
from template_kit import CHATML, known

from qaudit.sandboxed_templates import MAX_TEMPLATE_CHARACTERS
from qaudit.static.templates.analyst_main import conditions_of, facts_of, serve
from qaudit.static.templates.facts import TemplateFacts


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{% if %}", "syntax"),
        ("{{ " + "(" * 5000, "too-deep"),
        ("{% if a %}" * 2000 + "{% endif %}" * 2000, "too-deep"),
        ("x" * (MAX_TEMPLATE_CHARACTERS + 1), "too-long"),
    ],
)
def test_what_cannot_be_read_has_a_reason(text: str, kind: str) -> None:
    facts = known(text)
    assert facts.error
    assert [note.kind for note in facts.notes] == [kind]


def test_what_costs_too_much_is_not_rendered() -> None:
    facts = known("{{ 'a' * 2000000000 }}" + CHATML)
    assert facts.limits
    assert not facts.skeletons


def test_one_as_long_as_the_longest_in_use_is_rendered() -> None:
    macro = "{% macro f(a) %}{% if a is mapping and a.get('x') is sequence %}{% for b in a.x %}{{ b.y | join(', ') }}{% endfor %}{% endif %}{% endmacro %}\n"
    facts = known(macro * (40_000 // len(macro)) + CHATML)
    assert facts.skeletons
    assert not facts.of_kind("cost")


def test_rendering_that_takes_too_long_is_told() -> None:
    slow = "{% for a in messages[0].content * 300 %}{% for b in messages[0].content * 300 %}{% endfor %}{% endfor %}"
    assert [note.kind for note in known(slow).notes] == ["cost"]


def test_one_line_for_each_template() -> None:
    request = {
        "templates": [{"text": text, "dialect": "jinja"} for text in (CHATML, "{% if %}")],
        "special_tokens": {},
        "together": False,
    }
    answers = io.StringIO()
    serve(io.StringIO(json.dumps(request) + "\n"), answers)
    first, second = (TemplateFacts.unpacked(json.loads(line)) for line in answers.getvalue().splitlines())
    assert first == facts_of(CHATML, "jinja", {})
    assert second.error


def test_templates_that_are_compared_are_asked_the_same() -> None:
    watching = CHATML + "{% if messages[-1].content == 'ping' %}x{% endif %}"
    request = {
        "templates": [{"text": text, "dialect": "jinja"} for text in (CHATML, watching)],
        "special_tokens": {},
        "together": True,
    }
    answers = io.StringIO()
    serve(io.StringIO(json.dumps(request) + "\n"), answers)
    first, second = (TemplateFacts.unpacked(json.loads(line)) for line in answers.getvalue().splitlines())
    assert first.skeletons.keys() == second.skeletons.keys()
    differing = {name for name in first.skeletons if first.skeletons[name] != second.skeletons[name]}
    assert differing == {"user is ping"}


def test_conditions_of_what_cannot_be_read_are_none() -> None:
    assert conditions_of("{% if %}", "jinja") == conditions_of("x" * (2 << 20), "jinja") == []
    assert [
        guard.kind for guard in conditions_of("{% if 'x' in messages[0].content %}{% endif %}", "jinja")
    ] == ["content"]
