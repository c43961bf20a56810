from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from qaudit.auditing.arm import ArmPlan, render_prompts, rendered_prompts, require_answers, run_arm
from qaudit.auditing.events import Asked
from qaudit.engines.protocol import (
    EVERY_ABILITY,
    Ability,
    Answer,
    Ask,
    ChoiceAsk,
    ChoiceScore,
    Conversation,
    PassageAsk,
    PassageScore,
    Rendered,
)  # fmt: skip
from qaudit.errors import EngineFailure, InputError
from qaudit.journal import Journal, Record
from qaudit.values import Item, Reply, Suite, TokenLogprob


class RecordingEngine:
    """Answers everything with its id, and remembers what it was asked."""

    vocabulary = 4

    def __init__(self, abilities: frozenset[Ability] = EVERY_ABILITY) -> None:
        self.abilities = abilities
        self.batches: list[list[str]] = []
        self.asked: list[Ask] = []
        self.memory: dict[str, int] = {}

    def recall(self, memory: dict[str, int]) -> None:
        self.memory = dict(memory)

    def render(self, template: str, conversations: Sequence[Conversation]) -> list[Rendered]:
        return [
            Rendered(c.id, "", "too odd") if "odd" in c.turns[-1] else Rendered(c.id, template + c.turns[-1])
            for c in conversations
        ]

    def generate(self, asks: Sequence[Ask], progress: object = None) -> list[Answer]:
        self.batches.append([a.id for a in asks])
        self.asked += asks
        top = (TokenLogprob(1, "I", -0.1),)
        return [Answer(Reply(a.id, f"reply to {a.id}", 3, "eos", top), np.zeros(4, np.float32)) for a in asks]

    def choose(self, asks: Sequence[ChoiceAsk]) -> list[ChoiceScore]:
        self.batches.append([a.id for a in asks])
        return [ChoiceScore(a.id, (-1.0, -2.0), (1, 2)) for a in asks]

    def read(self, asks: Sequence[PassageAsk]) -> Iterator[PassageScore]:
        for a in asks:
            self.batches.append([a.id])
            yield PassageScore(a.id, np.full(2, -1, np.float32), np.zeros((2, 4), np.float32))


def suites() -> tuple[Suite, ...]:
    def made(name: str, expectation: str, texts: Sequence[str]) -> Suite:
        items = tuple(Item(f"{i}", "c", (t,), ("x", "y"), 0) for i, t in enumerate(texts))
        return Suite(name, "1", "l", expectation, "0" * 64, items)  # type: ignore[arg-type]

    return (
        made("core", "refuse", ["a", "b", "c", "odd"]),
        made("benign", "answer", ["d"]),
        made("quality", "choose", ["q", "r"]),
        made("reading", "read", ["once upon"]),
    )


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "j", "k", resume=False)
    yield opened
    opened.close()


def plan(template: str = "T:") -> ArmPlan:
    return ArmPlan(suites(), template, max_tokens=9, batch=2)


def test_everything_is_asked_once_in_fixed_batches(journal: Journal) -> None:
    engine = RecordingEngine()
    notes = list(render_prompts(engine, journal, plan()))  # type: ignore[arg-type]
    assert notes == ["core/3 was not asked: too odd"]
    assert rendered_prompts(journal)["core/0"] == "T:a"
    events = list(run_arm(engine, "reference", journal, plan()))  # type: ignore[arg-type]
    assert engine.batches == [
        ["core/0", "core/1"], ["core/2", "benign/0"], ["quality/0", "quality/1"], ["reading/0"],
    ]  # fmt: skip
    assert events[-1] == Asked("reference", "passages", 1, 1)
    assert journal.floats("reference", "replies", "core/0") is not None
    # distributions are kept only where first-token flips are measured
    assert journal.floats("reference", "replies", "benign/0") is None


def test_a_second_run_asks_nothing_and_a_cut_one_the_missing_batches(journal: Journal) -> None:
    engine = RecordingEngine()
    list(render_prompts(engine, journal, plan()))  # type: ignore[arg-type]
    for event in run_arm(engine, "reference", journal, plan()):  # type: ignore[arg-type]
        if isinstance(event, Asked):
            break
    assert engine.batches == [["core/0", "core/1"]]
    list(run_arm(engine, "reference", journal, plan()))  # type: ignore[arg-type]
    assert engine.batches.count(["core/0", "core/1"]) == 1
    asked = len(engine.batches)
    list(run_arm(engine, "reference", journal, plan()))  # type: ignore[arg-type]
    # what a resumed audit says is what the first one said
    assert render_prompts(engine, journal, plan()) == ["core/3 was not asked: too odd"]  # type: ignore[arg-type]
    assert len(engine.batches) == asked


class CountingEngine(RecordingEngine):
    """Remembers how many replies it gave, as an engine does that has notes of a server."""

    def generate(self, asks: Sequence[Ask], progress: object = None) -> list[Answer]:
        if len(self.batches) == 1:
            self.memory["replies"] += 100  # under way when it died: never stored
            raise EngineFailure("gone")
        self.memory["replies"] = self.memory.get("replies", 0) + len(asks)
        return super().generate(asks)


def test_what_an_engine_remembers_is_kept_with_the_batch(journal: Journal) -> None:
    replies = ArmPlan(suites()[:2], "T:", 9, 2)
    list(render_prompts(RecordingEngine(), journal, replies))  # type: ignore[arg-type]
    first = CountingEngine(frozenset())
    with pytest.raises(EngineFailure, match="gone"):
        list(run_arm(first, "reference", journal, replies))  # type: ignore[arg-type]
    assert first.memory == {"replies": 102}
    second = CountingEngine(frozenset())
    list(run_arm(second, "reference", journal, replies))  # type: ignore[arg-type]
    assert second.batches == [["core/2", "benign/0"]]
    assert second.memory == {"replies": 4}
    # another arm's engine is another
    other = RecordingEngine(frozenset())
    list(run_arm(other, "candidate", journal, replies))  # type: ignore[arg-type]
    assert other.memory == {}


def test_a_template_that_opens_reasoning_is_asked_behind_it_too(journal: Journal) -> None:
    engine = RecordingEngine()
    thinking = ArmPlan(suites()[:1], "", 9, 8)
    journal.add("reference", "prompt", [Record("core/0", {"text": "<user>a<think>", "error": None})])
    list(run_arm(engine, "reference", journal, thinking))  # type: ignore[arg-type]
    assert [(a.text, a.max_tokens) for a in engine.asked] == [
        ("<user>a<think>", 9), ("<user>a<think>\n\n</think>\n\n", 1),
    ]  # fmt: skip
    assert journal.known("reference", "after_reasoning") == {"core/0"}


def test_a_template_that_renders_nothing_is_refused(journal: Journal) -> None:
    suite = Suite("core", "1", "l", "refuse", "0" * 64, (Item("0", "c", ("odd",)),))
    with pytest.raises(InputError, match="renders no prompt: too odd"):
        list(render_prompts(RecordingEngine(), journal, ArmPlan((suite,), "T", 9, 2)))  # type: ignore[arg-type]


def test_an_engine_that_answers_nothing_is_no_measurement(journal: Journal) -> None:
    journal.add(
        "candidate", "replies", [Record("a", {"finish": "crashed"}), Record("b", {"finish": "too_long"})]
    )
    with pytest.raises(EngineFailure, match="answered none of its 2 prompts"):
        require_answers(journal, "candidate")
    journal.add("candidate", "replies", [Record("c", {"finish": "eos"})])
    require_answers(journal, "candidate")


def test_only_what_an_engine_can_do_is_asked(journal: Journal) -> None:
    engine = RecordingEngine(frozenset())
    template = plan("<think>")
    render_prompts(engine, journal, template)
    stages = {
        event.stage for event in run_arm(engine, "candidate", journal, template) if isinstance(event, Asked)
    }
    assert stages == {"replies"}
    assert engine.asked
    assert all(ask.turns for ask in engine.asked)
    for kind in ("after_reasoning", "choices", "passages"):
        assert not journal.known("candidate", kind)
