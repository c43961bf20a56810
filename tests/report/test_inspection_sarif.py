import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from sample_inspection import failing, hostile, inconclusive, passing

from qaudit.report.inspection_sarif import NOT_EXAMINED, render
from qaudit.values import Inspection

MAKERS: list[Callable[[], Inspection]] = [passing, failing, inconclusive, hostile]
SCHEMA = json.loads((Path(__file__).parent / "sarif-schema-2.1.0.json").read_text())


def run_of(*inspections: Inspection) -> dict[str, Any]:
    (run,) = json.loads(render(inspections))["runs"]
    found: dict[str, Any] = run
    return found


@pytest.mark.parametrize("made", MAKERS)
def test_the_document_fits_the_official_schema(made: Callable[[], Inspection]) -> None:
    text = render([made()])
    text.encode("utf-8")
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(text))


def test_every_result_names_its_rule_level_and_file() -> None:
    run = run_of(failing())
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [
        "pickle/unsafe-global",
        "template/trigger",
        "gguf/worth-knowing",
    ]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    told = [
        (r["level"], r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]) for r in run["results"]
    ]
    assert told == [
        ("error", "models/tiny/sub/b.bin"),
        ("error", "models/tiny/sub/b.bin"),
        ("error", "models/tiny/a.gguf"),
        ("note", "models/tiny/a.gguf"),
    ]
    prints = [r["partialFingerprints"]["qaudit/v1"] for r in run["results"]]
    assert len(set(prints)) == 4
    assert rules[0]["helpUri"] == "https://example.org/pickles"


def test_files_with_digests_are_artifacts() -> None:
    assert [(a["location"]["uri"], a["hashes"]["sha-256"]) for a in run_of(passing())["artifacts"]] == [
        ("models/tiny/a.gguf", "ab" * 32),
        ("models/tiny/sub/b.bin", "cd" * 32),
    ]


def test_what_was_not_examined_is_a_warning_and_what_nobody_needs_is_not() -> None:
    results = run_of(inconclusive())["results"]
    open_questions = [r for r in results if r["ruleId"] == NOT_EXAMINED]
    assert [(r["level"], r["message"]["text"]) for r in open_questions] == [
        ("warning", "x.rar (archive) is skipped: RAR is not read")
    ]
    assert NOT_EXAMINED not in {r["ruleId"] for r in run_of(passing())["results"]}


def test_several_targets_are_one_run_in_which_nothing_coincides() -> None:
    other = replace(failing(), target="models/other")
    run = run_of(failing(), other)
    assert len(run["tool"]["driver"]["rules"]) == 3
    assert len({r["partialFingerprints"]["qaudit/v1"] for r in run["results"]}) == 8
    assert run["properties"]["status"] == {"models/tiny": "fail", "models/other": "fail"}
