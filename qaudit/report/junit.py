"""JUnit XML: one test case per rule result, so that any CI shows the verdict.

INCONCLUSIVE is a failure whose message starts with that word: it never counts as a pass.
"""

import xml.etree.ElementTree as ET

from qaudit.report.untrusted import presentable
from qaudit.report.wording import figure, result_name
from qaudit.values import Report, RuleResult


def render(report: Report) -> str:
    """Return the XML document."""
    results = report.verdict.rules
    suite = ET.Element(
        "testsuite",
        name=presentable(f"qaudit {report.verdict.policy.name}"),
        tests=str(len(results)),
        failures=str(sum(result.status != "pass" for result in results)),
        errors="0",
        skipped="0",
        time=f"{report.duration_s:.3f}",
        timestamp=presentable(report.created.removesuffix("Z")),
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("verdict", report.verdict.status),
        ("checkpoint", report.checkpoint.path),
        ("checkpoint.sha256", report.checkpoint.sha256),
        ("reference.sha256", report.reference.sha256),
        ("policy.sha256", report.verdict.policy.sha256),
    ):
        ET.SubElement(properties, "property", name=name, value=presentable(value))
    for result in results:
        _case(suite, result, report)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, result: RuleResult, report: Report) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=presentable(f"qaudit.{report.verdict.policy.name}"),
        name=presentable(result_name(result)),
    )
    if result.status == "pass":
        ET.SubElement(case, "system-out").text = presentable(result.why)
        return
    word = "INCONCLUSIVE" if result.status == "inconclusive" else "FAIL"
    message = f"{word}: {result.metric} observed {figure(result.observed)}, asked {result.threshold}"
    failure = ET.SubElement(case, "failure", type=result.status, message=presentable(message))
    failure.text = presentable(result.why)
