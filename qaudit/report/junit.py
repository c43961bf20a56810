"""JUnit XML: one test case per rule result, so that any CI shows the verdict.

INCONCLUSIVE is a failure whose message starts with that word: it never counts as a pass.
"""

import re
import xml.etree.ElementTree as ET

from qaudit.report.wording import figure, result_name
from qaudit.values import Report, RuleResult

# what XML 1.0 cannot hold, even escaped
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Report) -> str:
    """Return the XML document."""
    results = report.verdict.rules
    failures = [r for r in results if r.status != "pass"]
    suite = ET.Element(
        "testsuite",
        name=_clean(f"qaudit {report.verdict.policy.name}"),
        tests=str(len(results)),
        failures=str(len(failures)),
        errors="0",
        skipped="0",
        time=f"{report.duration_s:.3f}",
        timestamp=_clean(report.created.removesuffix("Z")),
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("verdict", report.verdict.status),
        ("checkpoint", report.checkpoint.path),
        ("checkpoint.sha256", report.checkpoint.sha256),
        ("reference.sha256", report.reference.sha256),
        ("policy.sha256", report.verdict.policy.sha256),
    ):
        ET.SubElement(properties, "property", name=name, value=_clean(value))
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
        classname=_clean(f"qaudit.{report.verdict.policy.name}"),
        name=_clean(result_name(result)),
    )
    if result.status == "pass":
        ET.SubElement(case, "system-out").text = _clean(result.why)
        return
    word = "INCONCLUSIVE" if result.status == "inconclusive" else "FAIL"
    message = f"{word}: {result.metric} observed {figure(result.observed)}, asked {result.threshold}"
    failure = ET.SubElement(case, "failure", type=result.status, message=_clean(message))
    failure.text = _clean(result.why)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
