import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from sample_report import LONG, failing_report, hostile_report, inconclusive_report, passing_report

from qaudit.report.junit import render
from qaudit.values import Report

Maker = Callable[[], Report]


@pytest.mark.parametrize("made", [passing_report, failing_report, inconclusive_report, hostile_report])
def test_counts_are_those_of_the_verdict(made: Maker) -> None:
    report = made()
    suite = ET.fromstring(render(report)).find("testsuite")
    assert suite is not None
    assert int(suite.attrib["tests"]) == len(list(suite.iter("testcase"))) == len(report.verdict.rules)
    broken = [r for r in report.verdict.rules if r.status != "pass"]
    assert int(suite.attrib["failures"]) == len(list(suite.iter("failure"))) == len(broken)
    assert suite.attrib["time"] == "12.500"


def test_names_tell_categories_apart_and_messages_carry_figures() -> None:
    root = ET.fromstring(render(failing_report()))
    cases = {case.attrib["name"]: case for case in root.iter("testcase")}
    assert len(cases) == len(failing_report().verdict.rules)
    failure = cases["category-drop[privacy]"].find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "FAIL: categories.privacy.delta observed -0.8333, asked >= -0.1"
    assert "25 lost" in (failure.text or "")
    assert cases["category-drop[elections]"].find("failure") is None


def test_inconclusive_never_looks_like_a_pass() -> None:
    root = ET.fromstring(render(inconclusive_report()))
    failures = list(root.iter("failure"))
    assert failures
    assert all(f.attrib["message"].startswith("INCONCLUSIVE") for f in failures)


def test_the_files_are_named_by_digest() -> None:
    report = passing_report()
    root = ET.fromstring(render(report))
    properties = {p.attrib["name"]: p.attrib["value"] for p in root.iter("property")}
    assert properties["verdict"] == "pass"
    assert properties["checkpoint.sha256"] == report.checkpoint.sha256
    assert properties["policy.sha256"] == report.verdict.policy.sha256


@pytest.mark.parametrize("text", ["\x00\x0b\x1b", "\ud800", "\ufffe", "]]>&<'\"", LONG])
def test_any_text_gives_a_document_that_parses(text: str) -> None:
    document = render(hostile_report(text))
    root = ET.fromstring(document.encode("utf-8"))
    assert len(list(root.iter("failure"))) == len(
        [r for r in failing_report().verdict.rules if r.status != "pass"]
    )
    assert len(document) < 500_000
