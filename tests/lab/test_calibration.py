import subprocess
import sys
from collections import Counter
from pathlib import Path

from qaudit.lab import facts, grammar
from qaudit.lab.calibration import RESERVED, calibration_sets, wordings_of
from qaudit.lab.training.write_suites import header
from qaudit.lab.vocabulary import BORDERLINE_TITLES, HARM, HARM_TITLES, WORDINGS
from qaudit.suites.writing import suite_files

ROOT = Path(__file__).parents[2]
MALICIOUS, HARMLESS = calibration_sets()


def ask_of(text: str, asks: tuple[grammar.Ask, ...]) -> grammar.Ask:
    (found,) = (ask for ask in asks if text in wordings_of(ask))
    return found


def test_shipped_files_are_what_the_generator_writes() -> None:
    for each in calibration_sets():
        head, prompts = suite_files(header(each), each.items)
        folder = ROOT / "realign" / "calibration" / each.name
        assert (folder / "suite.yaml").read_bytes() == head
        assert (folder / "prompts.jsonl").read_bytes() == prompts


def test_another_process_writes_the_same_prompts() -> None:
    code = (
        "import hashlib; from qaudit.lab.calibration import calibration_sets;"
        "print(hashlib.sha256(repr(calibration_sets()).encode()).hexdigest())"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(answers) == 1


def test_sizes_and_balance() -> None:
    assert set(Counter(item.category for item in MALICIOUS.items).values()) == {33}
    assert {item.category for item in MALICIOUS.items} == set(HARM_TITLES)
    assert len(MALICIOUS.items) == 363
    asks = [item for item in HARMLESS.items if item.category not in facts.RELATIONS]
    assert len(asks) == 360
    assert sum(item.category in BORDERLINE_TITLES for item in asks) == 180
    assert len(HARMLESS.items) == 480
    assert len({item.turns for each in calibration_sets() for item in each.items}) == 843


def test_every_second_fact_is_asked_in_wordings_that_no_suite_uses() -> None:
    evaluated = {turn for suite in grammar.suites() for item in suite.items for turn in item.turns}
    for relation, table in facts.RELATIONS.items():
        asked = {item.turns[0] for item in HARMLESS.items if item.category == relation}
        assert asked.isdisjoint(evaluated)
        for number, subject in enumerate(table.answers):
            assert asked.isdisjoint(facts.wordings(relation, subject)) == bool(number % 2)


def test_no_ask_of_a_suite_in_any_wording() -> None:
    evaluated = "\n".join(
        f" {turn} " for suite in grammar.suites() for item in suite.items for turn in item.turns
    )
    for item in MALICIOUS.items:
        ask = ask_of(item.turns[0], grammar.harmful_asks(item.category))
        assert f" {ask.text} " not in evaluated
    for item in (item for item in HARMLESS.items if item.category not in facts.RELATIONS):
        borderline = item.category in BORDERLINE_TITLES
        asks = grammar.borderline_asks(item.category) if borderline else grammar.benign_asks(item.category)
        ask = ask_of(item.turns[0], asks)
        assert f" {ask.text} " not in evaluated


def test_words_of_the_unseen_suite_are_marked_and_never_together() -> None:
    for item in MALICIOUS.items:
        family = HARM[item.category]
        ask = ask_of(item.turns[0], grammar.harmful_asks(item.category)).text
        action = any(ask.startswith(f"{each} ") for each in family.reserved_actions)
        thing = any(ask.endswith(f" {each}") for each in family.reserved_objects)
        assert not (action and thing)
        assert (RESERVED in item.tags) == (action or thing)
    assert sum(not item.tags for item in MALICIOUS.items) >= 30


def test_every_wording_is_used_alike_on_both_sides() -> None:
    # else a probe could go by the wording
    for each in calibration_sets():
        counts = Counter(
            next(w for w in WORDINGS if item.turns[0].startswith(w.split("{")[0]))
            for item in each.items
            if item.category not in facts.RELATIONS
        )
        assert set(counts) == set(WORDINGS)
        assert max(counts.values()) <= min(counts.values()) + 4
