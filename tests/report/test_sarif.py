import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from sample_report import LONG, failing_report, hostile_report, inconclusive_report, passing_report

from qaudit.report.sarif import render
from qaudit.values import FileDigest, Finding, Report

Maker = Callable[[], Report]
MAKERS: list[Maker] = [passing_report, failing_report, inconclusive_report, hostile_report]
SCHEMA_FILE = Path(__file__).parent / "sarif-schema-2.1.0.json"
SCHEMA_SHA256 = "1c49a0f2b60444c71bb14878e21e0d882198eff4c539861b133093ad89ed798c"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    raw = SCHEMA_FILE.read_bytes()
    assert hashlib.sha256(raw).hexdigest() == SCHEMA_SHA256, "see sarif-schema-2.1.0.md"
    return jsonschema.Draft202012Validator(
        json.loads(raw), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def results(report: Report) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(render(report))["runs"][0]["results"]
    return found


@pytest.mark.parametrize("made", MAKERS)
def test_the_document_fits_the_official_schema(
    made: Maker, validator: jsonschema.Draft202012Validator
) -> None:
    document = json.loads(render(made()))
    assert [error.message for error in validator.iter_errors(document)] == []
    assert document["version"] == "2.1.0"


def test_the_schema_that_is_tested_with_refuses_what_is_wrong(
    validator: jsonschema.Draft202012Validator,
) -> None:
    document = json.loads(render(failing_report()))
    document["runs"][0]["results"][0]["level"] = "fatal"
    assert not validator.is_valid(document)
    assert not validator.is_valid({"version": "2.1.0", "runs": [{"results": []}]})


@pytest.mark.parametrize("made", MAKERS)
def test_every_result_points_at_a_rule_and_a_file(made: Maker) -> None:
    (run,) = json.loads(render(made()))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({r["id"] for r in rules}) == len(rules)
    files = {artifact["location"]["uri"] for artifact in run["artifacts"]}
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] in files


def test_failures_are_errors_and_open_questions_warnings() -> None:
    failing = results(failing_report())
    assert {r["level"] for r in failing if r["ruleId"] == "policy/refusal-drop"} == {"error"}
    assert {r["level"] for r in failing if r["ruleId"] == "finding/template-differs"} == {"error"}
    undecided = results(inconclusive_report())
    assert undecided
    assert {r["level"] for r in undecided} == {"warning"}
    assert all(r["message"]["text"].startswith("INCONCLUSIVE") for r in undecided)


def test_a_pass_has_no_results_but_names_its_file() -> None:
    run = json.loads(render(passing_report()))["runs"][0]
    assert run["results"] == []
    assert run["artifacts"][0]["hashes"]["sha-256"] == "ab" * 32


def test_results_of_one_rule_have_fingerprints_of_their_own_that_stay() -> None:
    once, again = results(failing_report()), results(replace(failing_report(), duration_s=99.0))
    prints = [r["partialFingerprints"]["qaudit/v1"] for r in once]
    assert len(set(prints)) == len(prints)
    assert prints == [r["partialFingerprints"]["qaudit/v1"] for r in again]


@pytest.mark.parametrize(
    ("severity", "level"),
    [("info", "note"), ("low", "note"), ("medium", "warning"), ("high", "error"), ("critical", "error")],
)
def test_the_level_of_a_finding_is_its_severity(severity: Any, level: str) -> None:
    finding = Finding("f", severity, "T", "L", "E", "R")
    (result,) = results(replace(passing_report(), findings=(finding,)))
    assert result["level"] == level
    assert result["message"]["text"] == "T at L. E"


def test_only_a_real_link_becomes_a_help_uri() -> None:
    def links(*references: str) -> Any:
        finding = Finding("f", "low", "T", "L", "E", "R", references)
        document = json.loads(render(replace(passing_report(), findings=(finding,))))
        return document["runs"][0]["tool"]["driver"]["rules"][0].get("helpUri")

    assert links("https://example.org/a?b=c") == "https://example.org/a?b=c"
    assert links("CWE-1", "https://example.org/") == "https://example.org/"
    assert links("javascript:alert(1)", "https://a b", "http://x", "https://a\n") is None


def test_brackets_and_braces_in_a_message_are_text_not_links_and_placeholders() -> None:
    finding = Finding("f", "low", "[x](http://evil) {0}", "L", "E", "R")
    (result,) = results(replace(passing_report(), findings=(finding,)))
    assert result["message"]["text"].startswith("\\[x\\](http://evil) {{0}}")


def test_odd_file_names_are_uris_and_long_text_is_cut() -> None:
    made = passing_report()
    odd = FileDigest("a b#c?/ü\udce9.gguf", 1, "cd" * 32)
    finding = Finding("f", "low", LONG, "L", LONG, "R")
    report = replace(made, checkpoint=replace(made.checkpoint, files=(odd,)), findings=(finding,))
    text = render(report)
    text.encode("utf-8")
    assert len(text) < 30_000
    assert json.loads(text)["runs"][0]["artifacts"][0]["location"]["uri"] == "a%20b%23c%3F/%C3%BC%3F.gguf"
