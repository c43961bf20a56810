import json
from pathlib import Path
from typing import Any

import pytest
from release_kit import make_file_checkpoint, report_for

from qaudit.attest.audit_facts import read_audit_facts
from qaudit.errors import MalformedFile


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    return report_for(make_file_checkpoint(tmp_path), b"policy")


def read(document: object) -> Any:
    return read_audit_facts(json.dumps(document).encode(), "report.json")


def test_reads_what_a_signature_rests_on(report: dict[str, Any]) -> None:
    facts = read(report)
    assert [file.path for file in facts.checkpoint.files] == ["model.gguf"]
    assert facts.verdict.status == "pass"
    assert facts.metrics.refusal.candidate.n == 120
    assert facts.metrics.refusal.delta_ci95 == (-0.04, 0.02)
    assert facts.suites[0].items == 120


def test_fields_added_later_and_metrics_not_measured_do_no_harm(report: dict[str, Any]) -> None:
    report["metrics"] = {"new_metric": {"x": 1}}
    report["verdict"]["regime"] = None
    del report["judge"]
    facts = read(report)
    assert facts.metrics.refusal is None
    assert facts.verdict.regime is None


def test_a_version_written_as_a_number_is_text(report: dict[str, Any]) -> None:
    report["verdict"]["policy"]["version"] = 3
    assert read(report).verdict.policy.version == "3"
    report["verdict"]["policy"]["version"] = True
    with pytest.raises(MalformedFile, match=r"verdict\.policy\.version"):
        read(report)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("schema", "qaudit/report/v2"),
        ("created", "yesterday"),
        ("created", "2026-08-01T10:00:00+02:00"),
        ("created", "2026-08-01T10:00:00"),
        ("checkpoint.sha256", "A" * 64),
        ("checkpoint.files", []),
        ("checkpoint.files.0.size", -1),
        ("checkpoint.files.0.size", "3"),
        ("checkpoint.architecture", "esc\x1b[31m"),
        ("verdict.status", "PASS"),
        ("verdict.rules", []),
        ("verdict.policy.name", "x" * 1001),
        ("metrics.refusal.reference.rate", 1.5),
        ("metrics.refusal.delta_ci95", [0.1]),
        ("metrics.rtsi.risk", "NONE"),
    ],
)
def test_names_the_key_that_is_wrong(report: dict[str, Any], place: str, value: object) -> None:
    target: Any = report
    *path, last = place.split(".")
    for key in path:
        target = target[int(key)] if key.isdigit() else target[key]
    target[last] = value
    with pytest.raises(MalformedFile, match=r"report\.json: not a qaudit/report/v1 report") as caught:
        read(report)
    assert place in str(caught.value)


def test_duplicate_keys_are_refused(report: dict[str, Any]) -> None:
    text = json.dumps(report).replace('"status": "pass"', '"status": "fail", "status": "pass"', 1)
    with pytest.raises(MalformedFile, match="appears twice"):
        read_audit_facts(text.encode(), "report.json")
