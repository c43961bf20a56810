"""SARIF 2.1.0 (OASIS): failing and inconclusive rules, and findings, as results on the checkpoint's files."""

import json
import re
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from qaudit.report.untrusted import encodable, one_line, presentable
from qaudit.report.wording import figure, result_name
from qaudit.values import Finding, Report, RuleResult, Severity

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# what RFC 3986 allows, and no more
_LINK = re.compile(r"https://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]{1,2000}")
_LEVELS: dict[Severity, str] = {
    "info": "note",
    "low": "note",
    "medium": "warning",
    "high": "error",
    "critical": "error",
}
# GitHub's numeric scale, which sorts code-scanning alerts
_SECURITY: dict[Severity, str] = {
    "info": "0.0",
    "low": "3.0",
    "medium": "5.0",
    "high": "8.0",
    "critical": "9.5",
}


def render(report: Report) -> str:
    """Return the SARIF document."""
    broken = [r for r in report.verdict.rules if r.status != "pass"]
    rules: dict[str, dict[str, Any]] = {}
    for result in broken:
        rules.setdefault(f"policy/{result.rule}", _policy_rule(result))
    for finding in report.findings:
        rules.setdefault(f"finding/{finding.id}", _finding_rule(finding))
    index = {rule_id: position for position, rule_id in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": one_line(report.tool.name, 200) or "qaudit",
                "semanticVersion": one_line(report.tool.version, 200),
                "rules": list(rules.values()),
            }
        },
        "artifacts": [
            {
                "location": {"uri": _uri(file.path)},
                "length": file.size,
                "hashes": {"sha-256": file.sha256},
                "roles": ["analysisTarget"],
            }
            for file in report.checkpoint.files
        ],
        "results": [
            *(_rule_result(r, index[f"policy/{r.rule}"], report) for r in broken),
            *(_finding_result(f, index[f"finding/{f.id}"], report) for f in report.findings),
        ],
        "invocations": [{"executionSuccessful": True, "endTimeUtc": report.created}],
        "properties": {"verdict": report.verdict.status, "policy": report.verdict.policy.name},
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    # a file name or a string of a GGUF may hold what UTF-8 cannot
    return encodable(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def _policy_rule(result: RuleResult) -> dict[str, Any]:
    return {
        "id": f"policy/{result.rule}",
        "shortDescription": _message(f"Policy rule {result.rule}"),
        "fullDescription": _message(f"The policy asks {result.threshold} of {result.metric.split('.')[0]}."),
        "help": _message(
            "Quantize again from the reference, or audit with more prompts where it is inconclusive."
        ),
        "properties": {"security-severity": "8.0", "tags": ["security", "safety"]},
    }


def _finding_rule(finding: Finding) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": f"finding/{finding.id}",
        "shortDescription": _message(finding.title or finding.id),
        "help": _message(finding.remedy or "See the report."),
        "properties": {"security-severity": _SECURITY[finding.severity], "tags": ["security"]},
    }
    if link := next((link for link in finding.references if _LINK.fullmatch(link)), None):
        rule["helpUri"] = link
    return rule


def _rule_result(result: RuleResult, index: int, report: Report) -> dict[str, Any]:
    observed = f"{result.metric} observed {figure(result.observed)}, asked {result.threshold}"
    return {
        "ruleId": f"policy/{result.rule}",
        "ruleIndex": index,
        # an open question is no finding of fault, but it is not a pass either
        "level": "error" if result.status == "fail" else "warning",
        "kind": "fail",
        "message": _message(f"{result.status.upper()} {result_name(result)}: {observed}. {result.why}"),
        "locations": [_location(report)],
        "partialFingerprints": {"qaudit/v1": f"{report.checkpoint.sha256[:16]}/{result_name(result)}"},
    }


def _finding_result(finding: Finding, index: int, report: Report) -> dict[str, Any]:
    return {
        "ruleId": f"finding/{finding.id}",
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "kind": "fail",
        "message": _message(f"{finding.title} at {finding.location}. {finding.evidence}"),
        "locations": [_location(report)],
        "partialFingerprints": {
            "qaudit/v1": f"{report.checkpoint.sha256[:16]}/{finding.id}/{finding.location}"
        },
    }


def _location(report: Report) -> dict[str, Any]:
    path = (
        report.checkpoint.files[0].path if report.checkpoint.files else PurePath(report.checkpoint.path).name
    )
    # a binary file has no lines, but viewers want a region
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(path)}, "region": {"startLine": 1}}}


def _uri(path: str) -> str:
    return quote(path.encode("utf-8", errors="replace"), safe="/")


def _message(text: str) -> dict[str, str]:
    # in a message text [words](1) is a link and {0} a placeholder (sections 3.11.5 and 3.11.6)
    plain = presentable(text).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return {"text": plain.replace("{", "{{").replace("}", "}}")}
