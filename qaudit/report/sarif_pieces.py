"""What every SARIF 2.1.0 (OASIS) document of ours is made of: the run, and findings as rules and results."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from qaudit.findings import FileDigest, Finding, Severity, ToolRef
from qaudit.report.plain_values import to_json
from qaudit.report.untrusted import encodable, one_line, presentable

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# what RFC 3986 allows, and no more
_LINK = re.compile(r"https://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]{1,2000}")
LEVELS: Mapping[Severity, str] = {
    "info": "note",
    "low": "note",
    "medium": "warning",
    "high": "error",
    "critical": "error",
}
# GitHub's numeric scale, which sorts code-scanning alerts
_SECURITY: Mapping[Severity, str] = {
    "info": "0.0",
    "low": "3.0",
    "medium": "5.0",
    "high": "8.0",
    "critical": "9.5",
}
FINGERPRINT = "qaudit/v1"


def run(
    tool: ToolRef,
    rules: Iterable[Mapping[str, Any]],
    results: Iterable[Mapping[str, Any]],
    artifacts: Iterable[Mapping[str, Any]],
    ended: str,
    properties: Mapping[str, Any],
) -> dict[str, Any]:
    """Return one run of the tool, which ended without an error of its own."""
    return {
        "tool": {
            "driver": {
                "name": one_line(tool.name, 200) or "qaudit",
                "semanticVersion": one_line(tool.version, 200),
                "rules": list(rules),
            }
        },
        "artifacts": list(artifacts),
        "results": list(results),
        "invocations": [{"executionSuccessful": True, "endTimeUtc": ended}],
        "properties": dict(properties),
    }


def document(one_run: Mapping[str, Any]) -> str:
    """Return the text of a document with one run."""
    # a file name or a string of a GGUF may hold what UTF-8 cannot
    return encodable(to_json({"$schema": SCHEMA, "version": "2.1.0", "runs": [one_run]}))


def artifact(path: str, file: FileDigest) -> dict[str, Any]:
    """Return a file that was looked at."""
    return {
        "location": {"uri": uri(path)},
        "length": file.size,
        "hashes": {"sha-256": file.sha256},
        "roles": ["analysisTarget"],
    }


def finding_rule(rule_id: str, finding: Finding) -> dict[str, Any]:
    """Return the rule of a finding as the document declares it."""
    rule: dict[str, Any] = {
        "id": rule_id,
        "shortDescription": message(finding.title or finding.id),
        "help": message(finding.remedy or "See the report."),
        "properties": {"security-severity": _SECURITY[finding.severity], "tags": ["security"]},
    }
    if link := next((link for link in finding.references if _LINK.fullmatch(link)), None):
        rule["helpUri"] = link
    return rule


def finding_result(rule_id: str, index: int, finding: Finding, path: str, about: str) -> dict[str, Any]:
    """Return a finding as a result.

    Args:
        rule_id: its rule in this document.
        index: where that rule stands.
        finding: what was found.
        path: the file that it is in.
        about: what tells the checkpoint from others in the fingerprint.
    """
    return {
        "ruleId": rule_id,
        "ruleIndex": index,
        "level": LEVELS[finding.severity],
        "kind": "fail",
        "message": message(f"{finding.title} at {finding.location}. {finding.evidence}"),
        "locations": [location(path)],
        "partialFingerprints": {FINGERPRINT: encodable(f"{about}/{finding.id}/{finding.location}")},
    }


def location(path: str) -> dict[str, Any]:
    """Return a file as the place of a result."""
    # a binary file has no lines, but viewers want a region
    return {"physicalLocation": {"artifactLocation": {"uri": uri(path)}, "region": {"startLine": 1}}}


def uri(path: str) -> str:
    """Return a path as a relative URI."""
    return quote(path.encode("utf-8", errors="replace"), safe="/")


def message(text: str) -> dict[str, str]:
    """Return a message in which nothing is a link or a placeholder (sections 3.11.5 and 3.11.6)."""
    plain = presentable(text).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return {"text": plain.replace("{", "{{").replace("}", "}}")}
