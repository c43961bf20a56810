"""`qaudit.sign` checks a report against itself before anything is signed."""

import json
from pathlib import Path

import pytest
from release_kit import NOW, make_release

import qaudit
from qaudit.attest import verify
from qaudit.errors import GateFailure


def test_signs_what_bears_itself_out_and_nothing_else(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    signed = qaudit.sign(
        release.checkpoint, report=release.report, policy=release.policy, key=release.key, now=NOW
    )
    assert signed.decision == "approved"
    # there is no responses.jsonl beside the report
    assert not signed.recounted
    assert verify(release.checkpoint, key=release.public, now=NOW).audited


def test_a_verdict_and_rule_that_were_edited_alike_are_refused(tmp_path: Path) -> None:
    release = make_release(tmp_path).judged("fail")
    report = json.loads(release.report.read_text())
    report["verdict"]["status"] = report["verdict"]["rules"][0]["status"] = "pass"
    release.report.write_text(json.dumps(report))
    with pytest.raises(GateFailure, match=r"the rule rtsi on rtsi\.risk gives fail, and it says pass"):
        qaudit.sign(release.checkpoint, report=release.report, policy=release.policy, key=release.key)
    assert not release.bundle.exists()
