import json

import pytest

from qaudit.static.templates.facts import Note, TemplateFacts

FACTS = TemplateFacts(
    "", [Note("escape", 3, "uses it", "why", 2)], {"question": "⟦user⟧"}, ["Hello there."], ["cut"]
)


def test_facts_come_back_as_they_went() -> None:
    assert TemplateFacts.unpacked(json.loads(json.dumps(FACTS.packed()))) == FACTS
    assert FACTS.of_kind("escape") == FACTS.notes
    assert FACTS.of_kind("cost") == []


@pytest.mark.parametrize(
    "told", [{}, {"notes": 3}, {**FACTS.packed(), "notes": [{"kind": 1}]}, {**FACTS.packed(), "skeletons": []},
             {**FACTS.packed(), "fixed": None}]
)  # fmt: skip
def test_other_answers_are_refused(told: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="answer"):
        TemplateFacts.unpacked(told)
