"""`qaudit.sign` checks a report against itself before anything is signed."""

import json
from pathlib import Path

import pytest
from attacks.gguf_builder import STRING, small_model
from attacks.honest_models import honest_gguf
from release_kit import NOW, make_release

import qaudit
from qaudit.attest import verify
from qaudit.checkpoints.opening import open_checkpoint
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


def test_a_checkpoint_is_what_its_own_header_says(tmp_path: Path) -> None:
    release = make_release(tmp_path, single=True)
    small_model().write(release.checkpoint)
    release = release.audited_again()
    report = json.loads(release.report.read_text())
    own = open_checkpoint(release.checkpoint)
    report["checkpoint"] |= {
        what: getattr(own, what) for what in ("format", "quantization", "architecture", "parameters")
    }

    def sign() -> None:
        release.report.write_text(json.dumps(report))
        qaudit.sign(
            release.checkpoint, report=release.report, policy=release.policy, key=release.key, now=NOW
        )

    report["checkpoint"]["quantization"] = "Q2_K"
    with pytest.raises(GateFailure, match=r"says that the quantization of .* is 'Q2_K', and its header says"):
        sign()
    report["checkpoint"]["quantization"] = own.quantization
    sign()
    assert release.bundle.exists()


def test_a_report_from_which_a_grave_finding_on_the_files_was_taken_is_refused(tmp_path: Path) -> None:
    release = make_release(tmp_path, single=True)
    template = "{{ ''.__class__.__mro__ }}"
    honest_gguf({"tokenizer.chat_template": (STRING, template)}).write(release.checkpoint)
    release = release.audited_again()
    report = json.loads(release.report.read_text())
    own = open_checkpoint(release.checkpoint)
    report["checkpoint"] |= {
        what: getattr(own, what) for what in ("format", "quantization", "architecture", "parameters")
    }

    def sign() -> None:
        release.report.write_text(json.dumps(report))
        qaudit.sign(
            release.checkpoint, report=release.report, policy=release.policy, key=release.key, now=NOW
        )

    report["tool"]["version"] = qaudit.__version__
    with pytest.raises(GateFailure, match=r"make the finding template/.* and it is not there"):
        sign()
    # another version has other rules
    report["tool"]["version"] = "0.0.1"
    sign()
    assert release.bundle.exists()
