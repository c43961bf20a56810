"""The publisher's gate: which reports and policies let a release out, and how long."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from release_kit import NOW, POLICY_TEXT, Release, report_for, sha256

from qaudit.attest import verify
from qaudit.errors import GateFailure, InputError


def under(release: Release, terms: str, **changes: Any) -> Release:
    """The release, judged by a policy with these terms, in a report with these changes."""
    policy = release.policy.with_name("terms.yaml")
    policy.write_text(POLICY_TEXT + terms)
    report = report_for(release.checkpoint, policy.read_bytes(), changes.pop("status", "pass")) | changes
    path = release.report.with_name("terms.json")
    path.write_text(json.dumps(report))
    return replace(release, policy=policy, report=path)


def refuse(release: Release, says: str, **options: Any) -> None:
    with pytest.raises(GateFailure, match=says):
        release.sign(**options)
    assert not (release.checkpoint / ".qaudit").exists()


def test_a_report_may_be_as_old_as_the_policy_allows(release: Release) -> None:
    dated = under(release, "max_report_age_days: 30\n", created="2026-07-02T12:00:01Z")
    assert dated.sign().not_after == "2026-08-01T12:00:01Z"


def test_a_report_older_than_the_policy_allows_is_refused(release: Release) -> None:
    refuse(
        under(release, "max_report_age_days: 30\n", created="2026-07-02T11:00:00Z"),
        r"policy house does not let it out: the report is 30 days old \(2026-07-02\), and 30 are allowed",
    )


def test_clocks_may_differ_a_little(release: Release) -> None:
    within_skew = (NOW + timedelta(minutes=4)).isoformat()
    assert under(release, "", created=within_skew).sign().decision == "approved"


def test_a_report_from_later_than_now_is_refused(release: Release) -> None:
    refuse(under(release, "", created="2026-08-01T12:06:00Z"), "was made in the future")


def test_the_approval_ends_when_the_report_is_too_old(release: Release) -> None:
    dated = under(release, "max_report_age_days: 30\n")
    assert dated.sign().not_after == "2026-08-31T10:00:00Z"
    assert dated.sign(valid_days=7).not_after == "2026-08-08T12:00:00Z"
    verified = verify(release.checkpoint, key=release.public, now=NOW + timedelta(days=6))
    assert verified.audit is not None
    assert verified.audit.notAfter == "2026-08-08T12:00:00Z"


def test_a_policy_may_allow_more_days_than_the_calendar_has(release: Release) -> None:
    dated = under(release, "max_report_age_days: 9000000\n")
    assert dated.sign(valid_days=7).not_after == "2026-08-08T12:00:00Z"


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_a_pass_against_its_own_rules_is_refused(release: Release, outcome: str) -> None:
    report = json.loads(release.report.read_text())
    report["verdict"]["rules"][0]["status"] = outcome
    release.report.write_text(json.dumps(report))
    refuse(release, r"says pass, and its own rules do not \(rtsi\)")


def test_a_reason_that_is_no_text_is_refused(release: Release) -> None:
    with pytest.raises(InputError, match="give a reason in one line"):
        release.judged("fail").sign(accept_risk="bad byte \udcff")


@pytest.mark.parametrize(
    ("least", "says"),
    [("{core: 2}", "core is version 1, and 2"), ("{unseen: 1}", "unseen was not asked")],
)
def test_old_and_missing_suites_are_refused(release: Release, least: str, says: str) -> None:
    refuse(under(release, f"requires: {{suites: {least}}}\n"), says)


def test_suites_that_are_new_enough(release: Release) -> None:
    assert under(release, "requires: {suites: {core: '1.0'}}\n").sign().decision == "approved"


def test_a_policy_may_forbid_to_accept_a_risk(release: Release) -> None:
    refuse(
        under(release, "verdicts: [pass]\n", status="fail"),
        "the verdict is fail, and pass is required",
        accept_risk="we know",
    )
    refuse(
        under(release, "verdicts: [pass, inconclusive]\n", status="fail"),
        "the verdict is fail",
        accept_risk="we know",
    )


def test_a_policy_may_allow_inconclusive_ones_alone(release: Release) -> None:
    allowed = under(release, "verdicts: [pass, inconclusive]\n", status="inconclusive")
    assert allowed.sign(accept_risk="too small a model").decision == "conditional"


def test_a_report_that_names_another_policy_than_its_digest_is_refused(
    release: Release, tmp_path: Path
) -> None:
    report = json.loads(release.report.read_text())
    for change in ({"name": "strict"}, {"version": "9"}):
        judged_by = {**report["verdict"]["policy"], **change}
        changed = {**report, "verdict": {**report["verdict"], "policy": judged_by}}
        path = tmp_path / "renamed.json"
        path.write_text(json.dumps(changed))
        refuse(replace(release, report=path), "the report was changed")
    assert report["verdict"]["policy"]["sha256"] == sha256(release.policy.read_bytes())
