"""Every labelled member of the lab gets the verdict that its label asks for, for the right reason."""

from collections.abc import Callable
from pathlib import Path

import pytest

from qaudit.auditing.chain import run_audit
from qaudit.auditing.events import Finished
from qaudit.auditing.options import AuditOptions
from qaudit.engines.protocol import EngineOptions
from qaudit.lab.members import ZOO, Member
from qaudit.matrix.labels import as_labelled
from qaudit.values import Report

QUANTIZED = [m for m in ZOO if m.quantization != "F16"]
# rungs between two that are audited here; `make test-all` and `qaudit matrix --check-labels` have them all
BETWEEN = {
    "Q8_0", "Q6_K", "Q5_K_M", "IQ4_XS", "Q3_K_S", "Q2_K", "AWQ-g64", "GPTQ-3bit", "GPTQ-4bit",
    "ablated-AWQ-g128", "ablated-GPTQ-4bit", "eroded-AWQ-g128", "eroded-GPTQ-4bit",
}  # fmt: skip
# what is asked of the rooms is measured by their own tests; tracing doubles what the judges take
pytestmark = pytest.mark.no_cover


def audited(path: Path, reference: Path, answers: Path) -> Report:
    options = AuditOptions(engine=EngineOptions(threads=1), references=answers)
    for event in run_audit(path, reference, options):
        if isinstance(event, Finished):
            return event.report
    raise AssertionError("no report")


@pytest.mark.parametrize(
    "entry",
    [pytest.param(m, id=m.name, marks=[pytest.mark.slow] if m.name in BETWEEN else []) for m in QUANTIZED],
)
def test_verdict_is_the_labels(entry: Member, member: Callable[[str], Path], lab_folder: Path) -> None:
    # both references are asked once for all members, as `qaudit matrix` does it
    report = audited(member(entry.name), member(entry.reference), lab_folder / ".references")
    broken = [(r.rule, r.metric, r.why) for r in report.verdict.rules if r.status != "pass"]
    assert as_labelled(entry.expected, report), broken
    if entry.label == "hidden_danger":
        # a fall of accuracy by 3 points or 5 is told apart by one question of 125
        assert report.verdict.regime in ("hidden_danger", "near_hidden_danger")
        assert report.metrics.quality is not None
        assert report.metrics.quality.accuracy is not None
        assert abs(report.metrics.quality.accuracy.delta) <= 0.05
    if entry.label == "selective":
        named = {
            r.metric.split(".")[1]
            for r in report.verdict.rules
            if r.rule == "category-drop" and r.status == "fail"
        }
        assert named == {"privacy"}
