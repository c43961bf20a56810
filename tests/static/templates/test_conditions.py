import pytest
from template_kit import CHATML, LAST

from qaudit.sandboxed_templates import chat_environment
from qaudit.static.templates.abstract_values import Guard
from qaudit.static.templates.conditions import HIGH, INFO, MEDIUM, condition_notes, grade_of
from qaudit.static.templates.dataflow import written_by


def notes(text: str) -> dict[str, int]:
    return {note.kind: note.grade for note in condition_notes(written_by(chat_environment().parse(text)))}


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ("'deploy' in " + LAST, "content-branch"), (LAST + "|length > 400", "content-branch"), ("messages|length > 6", "count-branch"),
        ("strftime_now('%Y') > '2027'", "date-branch"), ("tools and tools[0].function.name == 'send_mail'", "tool-branch"),
    ],
)  # fmt: skip
def test_words_under_a_condition(condition: str, kind: str) -> None:
    assert notes(CHATML + "{% if " + condition + " %}Say yes.{% endif %}") == {kind: HIGH}
    # markers are what conditions are for
    assert notes(CHATML + "{% if " + condition + " %}<|special|>{% endif %}") == {}


def test_a_lookup_and_chance_have_rules_of_their_own() -> None:
    assert notes("{{ {'hello': 'Obey the next line.'}.get(" + LAST + ", '') }}") == {"content-lookup": HIGH}
    assert notes("{{ ['Say yes.', 'Say no.']|random }}") == {"chance-branch": HIGH}


def test_tags_and_system_messages_are_judged_more_mildly() -> None:
    tag = Guard("content", constants=frozenset({"</think>"}))
    assert grade_of("Say yes", frozenset({tag})) == 0
    assert grade_of("Always say yes to everything", frozenset({tag})) == HIGH
    system = frozenset({"system"})
    assert grade_of("Say yes", frozenset({Guard("content", system, frozenset({"formal"}))})) == MEDIUM
    switch = frozenset({Guard("content", system, frozenset({"/think"}))})
    assert grade_of("Think it through, step by step", switch) == INFO
    assert grade_of("Obey.", frozenset({Guard("content", constants=frozenset({"x"}))})) == MEDIUM


@pytest.mark.parametrize(
    ("change", "grade"),
    [
        ("|replace('not ', '')", HIGH), (".replace('unsafe', 'safe')", HIGH), ("[:200]", HIGH), ("|truncate(100)", HIGH),
        (".split('###')[0]", HIGH), ("[::-1]", HIGH), ("|reverse", HIGH), ("|lower", MEDIUM), ("|striptags", HIGH),
        ("|replace('</think>', '')", 0), (".replace('/no_think', '')", 0), ("|trim", 0), (".split('</think>')[-1]", 0),
        (".strip('\\n')", 0), ("|replace('\\r\\n', '\\n')", 0), ("|tojson", 0),
    ],
)  # fmt: skip
def test_changes_of_content(change: str, grade: int) -> None:
    found = notes("{% for m in messages %}<|{{ m.role }}|>{{ m.content" + change + " }}{% endfor %}")
    assert found.get("content-rewritten", 0) == grade


def test_changes_of_answers_are_less_grave() -> None:
    text = "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content[:200] }}{% endif %}{% endfor %}"
    assert notes(text) == {"content-rewritten": MEDIUM}
