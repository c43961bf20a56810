import json

import pytest
from qaudit.report.sarif import render
from sample_report import failing_report, hostile_report, inconclusive_report, passing_report

MAKERS = [passing_report, failing_report, inconclusive_report, hostile_report]


@pytest.mark.parametrize("made", MAKERS)
def test_every_result_points_at_a_rule_and_a_file(made: object) -> None:
    document = json.loads(render(made()))  # type: ignore[operator]
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({r["id"] for r in rules}) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["level"] in ("error", "warning", "note")
        assert " " not in result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]


def test_failures_are_errors_and_open_questions_warnings() -> None:
    failing = json.loads(render(failing_report()))["runs"][0]["results"]
    assert {r["level"] for r in failing if r["ruleId"] == "policy/refusal-drop"} == {"error"}
    assert {r["level"] for r in failing if r["ruleId"] == "finding/template-differs"} == {"error"}
    open_questions = json.loads(render(inconclusive_report()))["runs"][0]["results"]
    assert open_questions
    assert {r["level"] for r in open_questions} == {"warning"}


def test_a_pass_has_no_results_but_names_its_file() -> None:
    run = json.loads(render(passing_report()))["runs"][0]
    assert run["results"] == []
    assert run["artifacts"][0]["hashes"]["sha-256"] == "ab" * 32
