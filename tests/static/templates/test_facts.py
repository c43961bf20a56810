import json

import pytest

from qaudit.static.templates.facts import MOST_KEPT, Note, TemplateFacts

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


def test_of_long_skeletons_a_digest_is_kept_that_tells_them_apart() -> None:
    one, other = TemplateFacts(), TemplateFacts()
    for facts, end in ((one, "a"), (other, "b")):
        facts.keep("short", "x")
        for number in range(3):
            facts.keep(f"long {number}", "é" * MOST_KEPT + end)
    assert one.skeletons["short"] == "x"
    assert sum(map(len, one.skeletons.values())) < MOST_KEPT
    assert one.skeletons["long 2"] != other.skeletons["long 2"]
    assert one.skeletons["long 2"] == one.skeletons["long 1"]
    one.keep("short", "y")
    assert one.skeletons["short"] == "x"
