import xml.etree.ElementTree as ET

import pytest
from qaudit.report.junit import render
from sample_report import failing_report, hostile_report, inconclusive_report, passing_report


@pytest.mark.parametrize("made", [passing_report, failing_report, inconclusive_report, hostile_report])
def test_counts_are_those_of_the_verdict(made: object) -> None:
    report = made()  # type: ignore[operator]
    suite = ET.fromstring(render(report)).find("testsuite")
    assert suite is not None
    assert int(suite.attrib["tests"]) == len(list(suite.iter("testcase"))) == len(report.verdict.rules)
    broken = [r for r in report.verdict.rules if r.status != "pass"]
    assert int(suite.attrib["failures"]) == len(list(suite.iter("failure"))) == len(broken)


def test_names_tell_categories_apart_and_messages_carry_figures() -> None:
    root = ET.fromstring(render(failing_report()))
    names = [c.attrib["name"] for c in root.iter("testcase")]
    assert len(set(names)) == len(names)
    failure = next(c for c in root.iter("testcase") if c.attrib["name"] == "category-drop[privacy]").find(
        "failure"
    )
    assert failure is not None
    assert "-0.83" in failure.attrib["message"]
    assert failure.attrib["message"].startswith("FAIL")


def test_inconclusive_never_looks_like_a_pass() -> None:
    root = ET.fromstring(render(inconclusive_report()))
    failures = list(root.iter("failure"))
    assert failures
    assert all(f.attrib["message"].startswith("INCONCLUSIVE") for f in failures)
