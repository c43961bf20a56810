"""The lab's calibration sets: what re-quantization may look at, drawn from the lab's little language.

No prompt has an ask of an evaluation suite, in whatever wording, and none has a wording of the unseen
suite or a frame of the adaptive one. Actions and objects of the unseen suite occur in other company
alone, as in the reference's training; such prompts carry the tag `reserved`, so that they can be left
out. Of the facts that the quality suite asks about, every second one is asked here too, in the wordings
that it does not use: what a model knows is lost in re-quantization unless something holds on to it, and the
other half shows what becomes of facts that nothing held.
"""

import random
from collections.abc import Sequence
from functools import cache
from math import gcd

from qaudit.lab import facts
from qaudit.lab.grammar import Ask, LabSuite, benign_asks, borderline_asks, harmful_asks, suite
from qaudit.lab.vocabulary import BENIGN_TITLES, BORDERLINE_TITLES, HARM, HARM_TITLES, WORDINGS
from qaudit.values import Item

SEED = 20261
MALICIOUS_PER_CATEGORY = 33
EVERYDAY_PER_TOPIC = 18
BORDERLINE_PER_CATEGORY = 90
RESERVED = "reserved"
# so does the general quality suite ask
ASKED_ELSEWHERE = "what is the capital of "


@cache
def calibration_sets() -> tuple[LabSuite, ...]:
    """Return the malicious and the harmless set."""
    return (_malicious(), _harmless())


def _malicious() -> LabSuite:
    items: list[Item] = []
    for category in HARM_TITLES:
        asks = harmful_asks(category)
        items += _items("lab-malicious", category, asks, "lab-core", MALICIOUS_PER_CATEGORY, len(items))
    description = (
        "Asks that the lab's reference refuses, to calibrate realign on: none of them is in an evaluation "
        "suite, in whatever wording."
    )
    return LabSuite("lab-malicious", "refuse", description, HARM_TITLES, tuple(items))


def _harmless() -> LabSuite:
    items: list[Item] = []
    for topic in BENIGN_TITLES:
        items += _items(
            "lab-harmless", topic, benign_asks(topic), "lab-benign", EVERYDAY_PER_TOPIC, len(items)
        )
    for category in BORDERLINE_TITLES:
        asks = borderline_asks(category)
        items += _items("lab-harmless", category, asks, "lab-borderline", BORDERLINE_PER_CATEGORY, len(items))
    asked = {turn for item in suite("lab-quality").items for turn in item.turns}
    for relation in facts.RELATIONS:
        items += [
            Item(f"lab-harmless-{relation}-{number:03d}", relation, (question,))
            for number, question in enumerate(
                (
                    question
                    for subject in calibrated_subjects(relation)
                    for question in facts.wordings(relation, subject)
                    if question not in asked and not question.startswith(ASKED_ELSEWHERE)
                ),
                start=1,
            )
        ]
    description = (
        "Everyday asks, and asks with alarming words that are fine, none of them in an evaluation suite in "
        "whatever wording; and questions about half of the lab's facts, in wordings that no suite uses."
    )
    titles = {
        **BENIGN_TITLES,
        **BORDERLINE_TITLES,
        **{relation: table.title for relation, table in facts.RELATIONS.items()},
    }
    return LabSuite("lab-harmless", "answer", description, titles, tuple(items))


def calibrated_subjects(relation: str) -> tuple[str, ...]:
    """Return the subjects of a relation whose facts the harmless set asks about: every second one."""
    return tuple(facts.RELATIONS[relation].answers)[::2]


def _items(
    name: str, category: str, asks: Sequence[Ask], evaluated: str, count: int, before: int
) -> list[Item]:
    """Return prompts of asks that a suite does not have: every ask before any comes in a second wording.

    Wordings go round and round, from where the `before` items of other categories left off: a set that
    had some more often than its counterpart would teach a probe the wording.
    """
    draw = random.Random(f"{SEED} {name} {category}")  # noqa: S311
    texts = {turn for item in suite(evaluated).items for turn in item.turns}
    free = [ask for ask in asks if texts.isdisjoint(wordings_of(ask))]
    draw.shuffle(free)
    # an ask's wordings come round after so many rounds: one further then
    period = len(WORDINGS) // gcd(len(free), len(WORDINGS))
    pairs = [
        (ask, WORDINGS[(before + turn * len(free) + place + turn // period) % len(WORDINGS)])
        for turn in range(len(WORDINGS))
        for place, ask in enumerate(free)
    ]
    return [
        Item(
            f"{name}-{category}-{number:03d}",
            category,
            (wording.format(ask=ask.text),),
            tags=(RESERVED,) if _reserved(ask) else (),
        )
        for number, (ask, wording) in enumerate(pairs[:count], start=1)
    ]


def wordings_of(ask: Ask) -> tuple[str, ...]:
    """Return every prompt that an ask makes."""
    return tuple(wording.format(ask=ask.text) for wording in WORDINGS)


def _reserved(ask: Ask) -> bool:
    if ask.kind != "harmful":
        return False
    family = HARM[ask.category]
    return ask.text.startswith(tuple(f"{action} " for action in family.reserved_actions)) or (
        ask.text.endswith(tuple(f" {thing}" for thing in family.reserved_objects))
    )
