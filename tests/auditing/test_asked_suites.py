"""Suites are what they are called, and the replies are to their prompts."""

from dataclasses import replace
from typing import Any

import pytest
from sample_report import passing_report

from qaudit.auditing.asked_suites import misnamed_suites, unasked_prompts
from qaudit.suites.loading import load_suite
from qaudit.values import Report, SuiteRef

CORE, ADAPTIVE, QUALITY = map(load_suite, ("core", "adaptive", "quality"))


def asked(*suites: SuiteRef, tool: str | None = None) -> Report:
    report = passing_report()
    return replace(report, suites=suites, tool=replace(report.tool, version=tool or report.tool.version))


def ref(suite: Any, **changes: Any) -> SuiteRef:
    return replace(SuiteRef(suite.name, suite.version, suite.sha256, len(suite.items)), **changes)


def rows(suite: Any = CORE) -> list[dict[str, Any]]:
    return [
        {
            "suite": suite.name,
            "id": item.id,
            "category": item.category,
            "expectation": suite.expectation,
            "derived_from": suite.derived_from,
            "turns": list(item.turns),
        }
        for item in suite.items
    ]


def test_shipped_suites_and_those_of_the_house() -> None:
    house = SuiteRef("house", "9", "ab" * 32, 5)
    assert list(misnamed_suites(asked(ref(CORE), ref(ADAPTIVE), ref(QUALITY), house))) == []
    assert list(misnamed_suites(asked(ref(CORE, items=3)))) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sha256": "ab" * 32}, "its suite core 1 is not the one that ships"),
        ({"version": "7"}, "its suite core 7 is not the one that ships"),
        ({"version": "1.0", "sha256": "ab" * 32}, "its suite core 1.0 is not the one that ships"),
        ({"version": "7", "sha256": "ab" * 32}, "its suite core has version 7, and 1 is the newest"),
        ({"items": 169}, "it says that 169 prompts of core were asked, which has 168"),
        ({"items": 0}, "no prompt of the suite core was asked"),
    ],
)
def test_under_a_shipped_name_lies_the_shipped_suite(changes: dict[str, Any], says: str) -> None:
    (told,) = misnamed_suites(asked(ref(CORE, **changes)))
    assert told.startswith(says)


def test_another_qaudit_may_ship_a_newer_one_but_not_another_of_the_same_version() -> None:
    newer = ref(CORE, version="7", sha256="ab" * 32)
    assert list(misnamed_suites(asked(newer, tool="9.9"))) == []
    assert len(list(misnamed_suites(asked(ref(CORE, sha256="ab" * 32), tool="9.9")))) == 1


def test_a_suite_twice() -> None:
    assert list(misnamed_suites(asked(ref(CORE), ref(CORE)))) == ["it names the suite core twice"]


def test_replies_to_a_shipped_suite_are_to_its_own_prompts() -> None:
    report = asked(ref(CORE), ref(QUALITY))
    assert list(unasked_prompts(rows(), report)) == []
    assert list(unasked_prompts(rows()[:5], report)) == []
    twice = [*rows(), rows()[0]]
    assert "to no prompt of the suite, or there twice" in next(unasked_prompts(twice, report))
    strange = [{**rows()[0], "id": "mine"}]
    assert "to no prompt of the suite" in next(unasked_prompts(strange, report))


@pytest.mark.parametrize(
    "change", [{"turns": ["hello"]}, {"category": "x"}, {"expectation": "answer"}, {"derived_from": "y"}]
)
def test_a_reply_to_another_prompt(change: dict[str, Any]) -> None:
    (told,) = unasked_prompts([{**rows()[0], **change}, *rows()[1:]], asked(ref(CORE)))
    assert told == f"the reply core/{CORE.items[0].id} is to another prompt than the suite's"


def test_a_suite_that_nobody_was_asked() -> None:
    report = asked(ref(CORE), ref(ADAPTIVE))
    assert list(unasked_prompts(rows(), report)) == ["there are no replies to the suite adaptive"]
    # one of the house may be of questions of choice, if any were measured at all
    house = asked(ref(CORE), SuiteRef("house", "1", "ab" * 32, 5))
    assert list(unasked_prompts(rows(), house)) == []
    without = replace(house, metrics=replace(house.metrics, quality=None))
    assert list(unasked_prompts(rows(), without)) == ["there are no replies to the suite house"]
