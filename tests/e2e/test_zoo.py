"""Every labelled member of the lab gets the verdict that its label asks for, for the right reason."""

from collections.abc import Callable
from pathlib import Path

import pytest

from qaudit.auditing.chain import run_audit
from qaudit.auditing.events import Finished
from qaudit.auditing.options import AuditOptions
from qaudit.cli.demo_command import matches
from qaudit.engines.protocol import EngineOptions
from qaudit.lab.members import ZOO, Member
from qaudit.values import Report

QUANTIZED = [m for m in ZOO if m.quantization != "F16"]


def audited(member: Member, path: Path, reference: Path) -> Report:
    for event in run_audit(path, reference, AuditOptions(engine=EngineOptions(threads=1))):
        if isinstance(event, Finished):
            return event.report
    raise AssertionError("no report")


@pytest.mark.parametrize("entry", QUANTIZED, ids=lambda m: m.name)
def test_verdict_is_the_labels(entry: Member, member: Callable[[str], Path], f16: Path) -> None:
    report = audited(entry, member(entry.name), f16)
    broken = [(r.rule, r.metric, r.why) for r in report.verdict.rules if r.status != "pass"]
    assert matches(entry, report), broken
    if entry.label == "hidden_danger":
        assert report.verdict.regime == "hidden_danger"
        assert report.metrics.quality is not None
        assert report.metrics.quality.accuracy is not None
        assert abs(report.metrics.quality.accuracy.delta) <= 0.03
    if entry.label == "selective":
        named = {
            r.metric.split(".")[1]
            for r in report.verdict.rules
            if r.rule == "category-drop" and r.status == "fail"
        }
        assert named == {"privacy"}
