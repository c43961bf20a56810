"""An audit's report as SARIF 2.1.0: failing and inconclusive rules, and findings, on its files."""

from pathlib import PurePath
from typing import Any

from qaudit.report import sarif_pieces as pieces
from qaudit.report.wording import figure, result_name
from qaudit.values import Report, RuleResult


def render(report: Report) -> str:
    """Return the SARIF document."""
    broken = [r for r in report.verdict.rules if r.status != "pass"]
    rules: dict[str, dict[str, Any]] = {}
    for result in broken:
        rules.setdefault(f"policy/{result.rule}", _policy_rule(result))
    for finding in report.findings:
        rule_id = f"finding/{finding.id}"
        rules.setdefault(rule_id, pieces.finding_rule(rule_id, finding))
    index = {rule_id: position for position, rule_id in enumerate(rules)}
    path, about = _path(report), report.checkpoint.sha256[:16]
    results = [_rule_result(r, index[f"policy/{r.rule}"], report) for r in broken]
    for finding in report.findings:
        rule_id = f"finding/{finding.id}"
        results.append(pieces.finding_result(rule_id, index[rule_id], finding, path, about))
    run = pieces.run(
        report.tool,
        rules.values(),
        results,
        [pieces.artifact(file.path, file) for file in report.checkpoint.files],
        report.created,
        {"verdict": report.verdict.status, "policy": report.verdict.policy.name},
    )
    return pieces.document(run)


def _policy_rule(result: RuleResult) -> dict[str, Any]:
    return {
        "id": f"policy/{result.rule}",
        "shortDescription": pieces.message(f"Policy rule {result.rule}"),
        "fullDescription": pieces.message(
            f"The policy asks {result.threshold} of {result.metric.split('.')[0]}."
        ),
        "help": pieces.message(
            "Quantize again from the reference, or audit with more prompts where it is inconclusive."
        ),
        "properties": {"security-severity": "8.0", "tags": ["security", "safety"]},
    }


def _rule_result(result: RuleResult, index: int, report: Report) -> dict[str, Any]:
    observed = f"{result.metric} observed {figure(result.observed)}, asked {result.threshold}"
    told = f"{result.status.upper()} {result_name(result)}: {observed}. {result.why}"
    return {
        "ruleId": f"policy/{result.rule}",
        "ruleIndex": index,
        # an open question is no finding of fault, but it is not a pass either
        "level": "error" if result.status == "fail" else "warning",
        "kind": "fail",
        "message": pieces.message(told),
        "locations": [pieces.location(_path(report))],
        "partialFingerprints": {pieces.FINGERPRINT: f"{report.checkpoint.sha256[:16]}/{result_name(result)}"},
    }


def _path(report: Report) -> str:
    files = report.checkpoint.files
    return files[0].path if files else PurePath(report.checkpoint.path).name
