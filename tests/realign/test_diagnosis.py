"""Which method fits, told from weights and audits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sample_report

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.errors import InputError
from qaudit.report.json_report import dump
from qaudit.weights.ablation import Kind, WeightEvidence
from realign.diagnosis import choose, diagnose


def evidence(kind: Kind) -> WeightEvidence:
    return WeightEvidence(kind, f"the weights show {kind}", (0, 1, 2), 5.0, np.ones(4), ())


@pytest.mark.parametrize(
    ("kind", "method", "source"),
    [
        ("directional_ablation", "restore", "reference"),
        ("low_rank_edit", "qresafe", "checkpoint"),
        ("fine_tune", "qresafe", "checkpoint"),
        ("rounding", "qrealign", "reference"),
        ("identical", "qrealign", "reference"),
    ],
)
def test_what_was_done_decides(kind: Kind, method: str, source: str) -> None:
    found = choose(evidence(kind))
    assert (found.method, found.source) == (method, source)
    assert found.why.startswith(f"the weights show {kind}; ")
    assert "audit" not in found.why


def test_an_audit_is_quoted_and_tells_small_falls_from_large_ones() -> None:
    large, small = sample_report.report({"privacy": 25, "hate": 20}), sample_report.report({"privacy": 1})
    assert choose(evidence("rounding"), large).method == "qrealign"
    found = choose(evidence("rounding"), small)
    assert found.method == "protect"
    assert "refusals 100 % to 99 %" in found.why
    # an ablation is an ablation, however little it did
    assert choose(evidence("directional_ablation"), small).method == "restore"


def test_a_fall_on_one_suite_counts() -> None:
    small = sample_report.report({"privacy": 1})
    refusal = small.metrics.refusal
    assert refusal is not None
    suites = {"unseen": replace(refusal, delta=-0.4)}
    report = replace(small, metrics=replace(small.metrics, suites=suites))
    assert choose(evidence("rounding"), report).method == "qrealign"


def test_real_checkpoints(f16: Path, q8: Path) -> None:
    found = diagnose(open_checkpoint(q8), open_checkpoint(f16))
    assert found.method == "qrealign"
    assert "quantization did it" in found.why


def test_the_audit_of_another_checkpoint_is_refused(f16: Path, q8: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(dump(sample_report.report({"privacy": 1})))
    with pytest.raises(InputError, match="is the audit of other bytes than"):
        diagnose(open_checkpoint(q8), open_checkpoint(f16), path)


def test_an_audit_against_another_reference_is_refused(f16: Path, q8: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    checkpoint = open_checkpoint(q8)
    path.write_text(dump(replace(sample_report.report({"privacy": 1}), checkpoint=checkpoint.info)))
    with pytest.raises(InputError, match="is an audit against another reference than"):
        diagnose(checkpoint, open_checkpoint(f16), path)
