"""Inspections as one SARIF 2.1.0 run: each finding on its file, and what was not examined as a warning.

One run for all targets: a code-scanning service keeps one of several runs of the same tool.
"""

from collections.abc import Sequence
from typing import Any

from qaudit.findings import Inspection, Surface
from qaudit.report import sarif_pieces as pieces
from qaudit.report.inspection_places import Places
from qaudit.report.untrusted import encodable

NOT_EXAMINED = "coverage/not-examined"


def render(inspections: Sequence[Inspection]) -> str:
    """Return the SARIF document.

    Args:
        inspections: at least one, of the same tool.
    """
    rules: dict[str, dict[str, Any]] = {}
    index: dict[str, int] = {}

    def entered(rule_id: str, rule: dict[str, Any]) -> int:
        if rule_id not in rules:
            index[rule_id] = len(rules)
            rules[rule_id] = rule
        return index[rule_id]

    results, artifacts = [], []
    for inspection in inspections:
        places = Places(inspection)
        artifacts += [pieces.artifact(places.of_file(file.path), file) for file in inspection.files]
        for finding in inspection.findings:
            rule_id = finding.id
            at = entered(rule_id, pieces.finding_rule(rule_id, finding))
            path = places.of_finding(finding)
            results.append(pieces.finding_result(rule_id, at, finding, path, inspection.target))
        for surface in (surface for surface in inspection.surfaces if surface.is_open):
            at = entered(NOT_EXAMINED, _not_examined_rule())
            results.append(_not_examined(surface, at, places.of_file(surface.path), inspection.target))
    status = {inspection.target: inspection.status for inspection in inspections}
    last = inspections[-1]
    run = pieces.run(last.tool, rules.values(), results, artifacts, last.created, {"status": status})
    return pieces.document(run)


def _not_examined_rule() -> dict[str, Any]:
    return {
        "id": NOT_EXAMINED,
        "shortDescription": pieces.message("A part that could hold something was not examined"),
        "help": pieces.message("Inspect a copy that can be read whole, or remove what nothing needs."),
        "properties": {"security-severity": "3.0", "tags": ["security"]},
    }


def _not_examined(surface: Surface, index: int, path: str, about: str) -> dict[str, Any]:
    return {
        "ruleId": NOT_EXAMINED,
        "ruleIndex": index,
        "level": "warning",
        "kind": "fail",
        "message": pieces.message(f"{surface.path} ({surface.kind}) is {surface.state}: {surface.why}"),
        "locations": [pieces.location(path)],
        "partialFingerprints": {
            pieces.FINGERPRINT: encodable(f"{about}/{NOT_EXAMINED}/{surface.path}/{surface.kind}")
        },
    }
