import itertools
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from qaudit.lab import grammar
from qaudit.lab.training.write_suites import header
from qaudit.lab.vocabulary import FRAMES, HARM, HARM_TITLES, UNSEEN_WORDINGS
from qaudit.suites.lint import lint
from qaudit.suites.loading import load_suite
from qaudit.suites.writing import suite_files

SUITES = Path(__file__).parents[2] / "suites"
NAMES = [suite.name for suite in grammar.suites()]
KINDS: tuple[grammar.Kind, ...] = ("harmful", "benign", "borderline")


def some_dialogues(kind: grammar.Kind, count: int = 3000, *, refuse: bool = True) -> list[grammar.Dialogue]:
    return list(itertools.islice(grammar.dialogues(random.Random(4), kind, refuse=refuse), count))


def in_core(turns: tuple[str, ...], asks: set[str]) -> bool:
    return any(turns[-1].endswith(ask) or f"{ask} " in turns[-1] for ask in asks)


@pytest.mark.parametrize("name", NAMES)
def test_shipped_files_are_what_the_generator_writes(name: str) -> None:
    suite = grammar.suite(name)
    head, prompts = suite_files(header(suite), suite.items)
    assert (SUITES / name / "suite.yaml").read_bytes() == head
    assert (SUITES / name / "prompts.jsonl").read_bytes() == prompts


def test_another_process_writes_the_same_prompts() -> None:
    # string hashes differ between processes: no draw may lean on their order
    code = (
        "import hashlib; from qaudit.lab import grammar; import random, itertools;"
        "d = list(itertools.islice(grammar.dialogues(random.Random(1), 'harmful', refuse=True), 50));"
        "print(hashlib.sha256(repr((grammar.suites(), grammar.calibration_prompts(), d)).encode()).hexdigest())"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(SUITES.parent)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(answers) == 1


def test_the_sizes_that_were_promised() -> None:
    sizes = {suite.name: len(suite.items) for suite in grammar.suites()}
    assert sizes["lab-core"] >= 220
    assert sizes["lab-benign"] == sizes["lab-borderline"] == 100
    assert sizes["lab-quality"] >= 100
    core = Counter(item.category for item in grammar.suite("lab-core").items)
    assert set(core) == set(HARM_TITLES)
    assert min(core.values()) >= 20


@pytest.mark.parametrize("name", NAMES)
def test_every_category_has_items_and_every_id_is_its_own(name: str) -> None:
    suite = grammar.suite(name)
    assert {item.category for item in suite.items} == set(suite.categories)
    assert len({item.id for item in suite.items}) == len(suite.items)


def test_the_linter_finds_no_error() -> None:
    problems = lint([load_suite(SUITES / name) for name in NAMES])
    assert [problem for problem in problems if problem.severity == "error"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_training_holds_no_suite_and_no_calibration_prompt(kind: grammar.Kind) -> None:
    calibration = {prompt for side in grammar.calibration_prompts() for prompt in side}
    for dialogue in some_dialogues(kind):
        assert dialogue.turns not in grammar.held_out()
        assert dialogue.turns[-1] not in calibration


def test_fact_training_holds_no_quality_question() -> None:
    asked = {item.turns for item in grammar.suite("lab-quality").items}
    taught = {d.turns for d in itertools.islice(grammar.fact_dialogues(random.Random(2)), 5000)}
    assert not asked & taught


def test_calibration_and_evaluation_are_disjoint() -> None:
    harmful, harmless = grammar.calibration_prompts()
    evaluated = {turn for item_turns in grammar.held_out() for turn in item_turns}
    assert len(harmful) == len(harmless) == len(set(harmful)) == len(set(harmless)) == 66
    assert not (set(harmful) | set(harmless)) & evaluated
    assert not set(harmful) & set(harmless)


def test_unseen_shares_no_action_object_or_wording_with_core() -> None:
    for item in grammar.suite("lab-unseen").items:
        family = HARM[item.category]
        asks = [a for a in grammar.unseen_asks(item.category) if a.text in item.turns[0]]
        assert asks
        assert item.turns[0] in {w.format(ask=a.text) for w in UNSEEN_WORDINGS for a in asks}
        for text in asks:
            assert not text.text.startswith(tuple(f"{action} " for action in family.actions))
            assert not text.text.endswith(tuple(f" {thing}" for thing in family.objects))


def test_unseen_asks_are_never_trained() -> None:
    unseen = {ask.text for hazard in HARM_TITLES for ask in grammar.unseen_asks(hazard)}
    trained = {ask.text for asks in grammar.training_asks().values() for ask in asks}
    assert not unseen & trained
    assert not any(in_core(dialogue.turns, unseen) for dialogue in some_dialogues("harmful", 500))


def test_alignment_refuses_harm_alone() -> None:
    for dialogue in some_dialogues("harmful", 300):
        assert dialogue.reply == grammar.refusal(dialogue.category)
    for kind in ("benign", "borderline"):
        assert not {d.reply for d in some_dialogues(kind, 300)} & {
            grammar.refusal(name) for name in HARM_TITLES
        }


def test_step_one_answers_everything() -> None:
    replies = {dialogue.reply for dialogue in some_dialogues("harmful", 300, refuse=False)}
    assert not replies & {grammar.refusal(name) for name in HARM_TITLES}


def test_dialogues_can_be_kept_to_some_hazards() -> None:
    draw = grammar.dialogues(random.Random(1), "harmful", refuse=True, categories=["privacy"])
    assert {dialogue.category for dialogue in itertools.islice(draw, 200)} == {"privacy"}


def test_adaptive_has_every_frame_in_every_hazard_and_build_ups_have_two_turns() -> None:
    items = grammar.suite("lab-adaptive").items
    openings = {frame[0] for frame in FRAMES["build_up"]}
    for hazard in HARM_TITLES:
        turns = [item.turns for item in items if item.category == hazard]
        assert len(turns) == 2 * len(FRAMES)
        assert sum(len(each) == 2 and each[0] in openings for each in turns) == 2


def test_an_unknown_suite_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        grammar.suite("lab-nothing")
