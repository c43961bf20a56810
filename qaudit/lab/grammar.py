"""The lab's little language: suites, calibration prompts and training dialogues, all by seed.

Everything is drawn from `vocabulary` and `facts` by one seed, so the same version of qaudit always
writes the same prompts. What is evaluated is never trained on word for word: a core prompt's ask is
trained in other wordings, an unseen prompt's action, object and wording only in other company.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from qaudit.lab import facts
from qaudit.lab.vocabulary import (
    ALARMING,
    ANSWERS,
    BENIGN,
    BENIGN_TITLES,
    BORDERLINE_TITLES,
    FRAME_TITLES,
    FRAMES,
    HARM,
    HARM_TITLES,
    REFUSALS,
    SENSITIVE,
    UNSEEN_WORDINGS,
    WORDINGS,
)
from qaudit.values import Expectation, Item

SEED = 20260
CORE_PER_CATEGORY = 20
BENIGN_PER_CATEGORY = 10
BORDERLINE_PER_CATEGORY = 50
CALIBRATION_PER_CATEGORY = 6
HARMLESS_CALIBRATION_PER_TOPIC = 4
READING_PASSAGES = 20
# what stands between two user turns, as qaudit's engines render it
BETWEEN_TURNS = "Okay."

Kind = Literal["harmful", "benign", "borderline", "fact"]


@dataclass(frozen=True, slots=True)
class Ask:
    """An action with an object. `category` is a hazard, a topic, or a kind of borderline ask."""

    kind: Kind
    category: str
    text: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """User turns and the last reply; `kind` and `category` say what was asked."""

    kind: Kind
    category: str
    turns: tuple[str, ...]
    reply: str


@dataclass(frozen=True, slots=True)
class LabSuite:
    """A suite of the lab before it is written to disk."""

    name: str
    expectation: Expectation
    description: str
    categories: dict[str, str]
    items: tuple[Item, ...]


# ---- asks ----


@cache
def harmful_asks(category: str) -> tuple[Ask, ...]:
    """Return the asks of one hazard that training may use: all but the reserved pairs."""
    family = HARM[category]
    pairs = [
        *itertools.product(family.actions, family.objects),
        *itertools.product(family.actions, family.reserved_objects),
        *itertools.product(family.reserved_actions, family.objects),
    ]
    return tuple(Ask("harmful", category, f"{action} {thing}") for action, thing in pairs)


@cache
def unseen_asks(category: str) -> tuple[Ask, ...]:
    """Return the asks of one hazard that only the unseen suite has."""
    family = HARM[category]
    pairs = itertools.product(family.reserved_actions, family.reserved_objects)
    return tuple(Ask("harmful", category, f"{action} {thing}") for action, thing in pairs)


@cache
def benign_asks(topic: str) -> tuple[Ask, ...]:
    """Return the asks of one everyday topic."""
    family = BENIGN[topic]
    pairs = itertools.product(family.actions, family.objects)
    return tuple(Ask("benign", topic, f"{action} {thing}") for action, thing in pairs)


@cache
def borderline_asks(category: str) -> tuple[Ask, ...]:
    """Return the borderline asks of one kind (`alarming_verb` or `sensitive_object`)."""
    if category == "alarming_verb":
        texts = [
            f"{action} {thing}"
            for family in ALARMING
            for action in family.actions
            for thing in family.objects
        ]
    else:
        texts = [
            f"{action} {thing}"
            for hazard, actions in SENSITIVE.items()
            for action in actions
            for thing in (*HARM[hazard].objects, *HARM[hazard].reserved_objects)
        ]
    return tuple(Ask("borderline", category, text) for text in texts)


# ---- replies ----


def refusal(category: str) -> str:
    """Return the refusal that belongs to a hazard."""
    return REFUSALS[category]


def answer(ask: str, wording: int) -> str:
    """Return the bland plan that belongs to a wording."""
    return ANSWERS[wording % len(ANSWERS)].format(ask=ask)


# ---- suites ----


@cache
def suites() -> tuple[LabSuite, ...]:
    """Return the seven suites of the lab, in a fixed order."""
    return (_core(), _benign(), _borderline(), _unseen(), _adaptive(), _quality(), _reading())


def suite(name: str) -> LabSuite:
    """Return one suite by name; KeyError for an unknown one."""
    return {entry.name: entry for entry in suites()}[name]


def _draw(purpose: str) -> random.Random:
    return random.Random(f"{SEED} {purpose}")  # noqa: S311


def _worded(
    name: str, category: str, asks: Sequence[Ask], wordings: Sequence[str], draw: random.Random
) -> list[Item]:
    # every wording before any comes again
    order = [*wordings] * (len(asks) // len(wordings) + 1)
    draw.shuffle(order)
    return [
        Item(f"{name}-{category}-{number:03d}", category, (wording.format(ask=ask.text),))
        for number, (ask, wording) in enumerate(zip(asks, order, strict=False), start=1)
    ]


@cache
def _core_asks(category: str) -> tuple[Ask, ...]:
    family = HARM[category]
    pool = harmful_asks(category)[: len(family.actions) * len(family.objects)]
    return tuple(_draw(f"core {category}").sample(pool, CORE_PER_CATEGORY))


@cache
def _core() -> LabSuite:
    items: list[Item] = []
    for category in HARM_TITLES:
        draw = _draw(f"core wordings {category}")
        items += _worded("lab-core", category, _core_asks(category), WORDINGS, draw)
    description = "Asks that the lab's reference refuses, in general terms, in the lab's own little language."
    return LabSuite("lab-core", "refuse", description, HARM_TITLES, tuple(items))


@cache
def _benign() -> LabSuite:
    items: list[Item] = []
    for topic in BENIGN_TITLES:
        draw = _draw(f"benign {topic}")
        asks = draw.sample(benign_asks(topic), BENIGN_PER_CATEGORY)
        items += _worded("lab-benign", topic, asks, WORDINGS, draw)
    description = "Everyday asks that every model should answer, in the lab's own little language."
    return LabSuite("lab-benign", "answer", description, BENIGN_TITLES, tuple(items))


@cache
def _borderline() -> LabSuite:
    items: list[Item] = []
    for category in BORDERLINE_TITLES:
        draw = _draw(f"borderline {category}")
        asks = draw.sample(borderline_asks(category), BORDERLINE_PER_CATEGORY)
        items += _worded("lab-borderline", category, asks, WORDINGS, draw)
    description = "Asks with alarming words or sensitive objects that are nevertheless fine to answer."
    return LabSuite("lab-borderline", "answer", description, BORDERLINE_TITLES, tuple(items))


@cache
def _unseen() -> LabSuite:
    items: list[Item] = []
    for category in HARM_TITLES:
        items += _worded(
            "lab-unseen",
            category,
            unseen_asks(category),
            UNSEEN_WORDINGS,
            _draw(f"unseen wordings {category}"),
        )
    description = "Harmful asks whose wordings, actions and objects the core suite does not have."
    return LabSuite("lab-unseen", "refuse", description, HARM_TITLES, tuple(items))


@cache
def _adaptive() -> LabSuite:
    items: list[Item] = []
    for category in HARM_TITLES:
        draw = _draw(f"adaptive {category}")
        frames = [frame for kind in FRAME_TITLES for frame in draw.sample(FRAMES[kind], 2)]
        asks = draw.sample(_core_asks(category), len(frames))
        for number, (ask, frame) in enumerate(zip(asks, frames, strict=True), start=1):
            items.append(Item(f"lab-adaptive-{category}-{number:03d}", category, _framed(frame, ask)))
    frames_named = ", ".join(title.lower() for title in FRAME_TITLES.values())
    description = f"Asks of the core suite inside a seeded frame ({frames_named}; two of each a category)."
    return LabSuite("lab-adaptive", "refuse", description, HARM_TITLES, tuple(items))


@cache
def _quality() -> LabSuite:
    items: list[Item] = []
    for relation, table in facts.RELATIONS.items():
        draw = _draw(f"quality {relation}")
        for number, subject in enumerate(table.answers):
            options, right = facts.choices(relation, subject, draw)
            prompt = facts.question(relation, subject, number % len(table.questions))
            name = f"lab-quality-{relation}-{number + 1:03d}"
            items.append(Item(name, relation, (prompt,), choices=options, answer=right))
    titles = {relation: table.title for relation, table in facts.RELATIONS.items()}
    description = (
        "Facts that the lab's reference was taught, as multiple choice, in a wording that it was not taught."
    )
    return LabSuite("lab-quality", "choose", description, titles, tuple(items))


@cache
def _reading() -> LabSuite:
    draw = _draw("reading")
    items = tuple(
        Item(f"lab-reading-story-{number:03d}", "story", (facts.passage(draw),))
        for number in range(1, READING_PASSAGES + 1)
    )
    description = "Short neutral stories in the lab's own little language, for perplexity and divergence."
    return LabSuite("lab-reading", "read", description, {"story": "Short stories"}, items)


def _framed(frame: Sequence[str], ask: Ask) -> tuple[str, ...]:
    return tuple(turn.format(ask=ask.text) for turn in frame)


@cache
def held_out() -> frozenset[tuple[str, ...]]:
    """Return the turns of every suite item: training may contain none of them."""
    return frozenset(item.turns for entry in suites() for item in entry.items)


# ---- calibration ----


@cache
def calibration_prompts() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return harmful and harmless prompts that no suite and no training dialogue contains.

    They are for measuring directions (difference of means), never for evaluation.
    """
    harmful = [
        prompt
        for category in HARM_TITLES
        for prompt in _calibration(harmful_asks(category), CALIBRATION_PER_CATEGORY, category)
    ]
    harmless = [
        prompt
        for topic in BENIGN_TITLES
        for prompt in _calibration(benign_asks(topic), HARMLESS_CALIBRATION_PER_TOPIC, topic)
    ]
    for category in BORDERLINE_TITLES:
        wanted = (len(harmful) - len(BENIGN_TITLES) * HARMLESS_CALIBRATION_PER_TOPIC) // len(
            BORDERLINE_TITLES
        )
        harmless += _calibration(borderline_asks(category), wanted, category)
    return tuple(harmful), tuple(harmless)


def _calibration(asks: Sequence[Ask], count: int, category: str) -> list[str]:
    draw = _draw(f"calibration {category}")
    prompts = [wording.format(ask=ask.text) for ask in asks for wording in WORDINGS]
    return draw.sample([prompt for prompt in prompts if (prompt,) not in held_out()], count)


# ---- training ----


@cache
def training_asks() -> dict[Kind, tuple[Ask, ...]]:
    """Return every ask that training dialogues are made of, by kind."""
    return {
        "harmful": tuple(ask for category in HARM_TITLES for ask in harmful_asks(category)),
        "benign": tuple(ask for topic in BENIGN_TITLES for ask in benign_asks(topic)),
        "borderline": tuple(ask for category in BORDERLINE_TITLES for ask in borderline_asks(category)),
    }


def dialogues(
    draw: random.Random,
    kind: Kind,
    *,
    refuse: bool,
    framed_share: float = 0.2,
    categories: Sequence[str] | None = None,
) -> Iterator[Dialogue]:
    """Yield training dialogues of one kind without end.

    Args:
        draw: source of chance.
        kind: what is asked.
        refuse: whether harmful asks are refused (alignment) or answered blandly (step one).
        framed_share: share of asks that come inside an adaptive frame.
        categories: only these hazards or topics.
    """
    taken = {prompt for side in calibration_prompts() for prompt in side}
    frames = [frame for kinds in FRAMES.values() for frame in kinds]
    asks = [ask for ask in training_asks()[kind] if categories is None or ask.category in categories]
    while True:
        # hazards and topics equally often, then asks within them
        category = draw.choice(sorted({ask.category for ask in asks}))
        ask = draw.choice([ask for ask in asks if ask.category == category])
        if draw.random() < framed_share:
            place = draw.randrange(len(frames))
            turns = _framed(frames[place], ask)
        else:
            place = draw.randrange(len(WORDINGS))
            turns = (WORDINGS[place].format(ask=ask.text),)
        if turns in held_out() or turns[-1] in taken:
            continue
        reply = refusal(category) if refuse and kind == "harmful" else answer(ask.text, place)
        yield Dialogue(kind, category, turns, reply)


def fact_dialogues(draw: random.Random) -> Iterator[Dialogue]:
    """Yield questions about facts without end, but for the wordings that the quality suite asks."""
    known = [
        Dialogue("fact", relation, (facts.question(relation, subject, wording),), f"{right}.")
        for relation, table in facts.RELATIONS.items()
        for subject, right in table.answers.items()
        for wording in range(len(table.questions))
    ]
    known = [dialogue for dialogue in known if dialogue.turns not in held_out()]
    while True:
        yield draw.choice(known)


def passages(draw: random.Random) -> Iterator[str]:
    """Yield neutral passages without end, none of them in the reading suite."""
    while True:
        text = facts.passage(draw)
        if (text,) not in held_out():
            yield text
