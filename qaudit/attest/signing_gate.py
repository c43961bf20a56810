"""What must hold before anything is signed: report, policy and files belong together, and allow it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from qaudit.attest.audit_facts import LINE_LIMIT, AuditFacts, is_line
from qaudit.attest.files_differ import named_problems
from qaudit.attest.manifest import differences
from qaudit.attest.release_terms import CLOCK_SKEW, POLICY_LIMIT, ReleaseTerms, read_policy
from qaudit.errors import GateFailure, InputError
from qaudit.files import read_bounded, sha256_bytes
from qaudit.shipped import shipped_names
from qaudit.values import FileDigest


def policy_in_force(policy: Path | str | None, facts: AuditFacts, report: Path) -> tuple[bytes, str]:
    """Return the bytes of the policy that judged a report, and its name for messages.

    Args:
        policy: the policy in force, a file or the name of a shipped one; None for the shipped one that
            the report names.
        facts: what the report says.
        report: its place, for messages.

    Raises:
        GateFailure: the policy is not the one that judged.
        InputError: it cannot be read, or is not a shipped one and no file was given.
    """
    judged_by = facts.verdict.policy
    if policy is None:
        file = shipped_names("policies").get(judged_by.name)
        if file is None:
            raise InputError(
                f"{report}: was judged by the policy {judged_by.name!r}, which is not a shipped one;"
                " give its file with --policy"
            )
        data, shown = read_bounded(file, POLICY_LIMIT), str(file)
    else:
        data, shown = read_policy(policy), str(policy)
    if sha256_bytes(data) != judged_by.sha256:
        raise GateFailure(
            f"{shown}: not the policy that judged {report} ({judged_by.name!r} version {judged_by.version});"
            " give that file with --policy or audit again"
        )
    return data, shown


def refuse_against_terms(terms: ReleaseTerms, facts: AuditFacts, report: Path, now: datetime) -> None:
    """Refuse what the policy does not let out: old reports and suites, verdicts that it excludes.

    Raises:
        GateFailure: the report falls short of the policy, or is not of the past.
    """
    created = facts.made_at
    if created > now + CLOCK_SKEW:
        raise GateFailure(f"{report}: was made in the future ({facts.created}); check the clock")
    judged_by = facts.verdict.policy
    if (terms.name, terms.version) != (judged_by.name, judged_by.version):
        raise GateFailure(
            f"{report}: calls its policy {judged_by.name} version {judged_by.version}, and the file says"
            f" {terms.name} version {terms.version}; the report was changed, audit again"
        )
    problems = list(
        terms.problems(
            suites={suite.name: suite.version for suite in facts.suites},
            status=facts.verdict.status,
            created=created,
            at=now,
        )
    )
    if problems:
        raise GateFailure(
            f"{report}: the policy {terms.name} does not let it out: {'; '.join(problems)}; audit again"
        )


def refuse_uncounted(terms: ReleaseTerms, why_not: str | None, report: Path) -> None:
    """Refuse a report whose figures were not all counted again, where the policy asks for that.

    Raises:
        GateFailure: it asks for it, and they were not.
    """
    if terms.recounted and why_not is not None:
        raise GateFailure(f"{report}: the policy {terms.name} does not let it out unrecounted: {why_not}")


def end_of_approval(terms: ReleaseTerms, facts: AuditFacts, verified: datetime, valid: timedelta) -> datetime:
    """Return when an approval ends: after the days asked for, or sooner if the report is then too old."""
    end = verified + valid
    # compared as spans: a policy may allow more days than the calendar has
    if terms.max_report_age is None or end - facts.made_at <= terms.max_report_age:
        return end
    return facts.made_at + terms.max_report_age


def accepted_risk(facts: AuditFacts, reason: str | None, report: Path) -> str | None:
    """Return the reason to sign although the verdict is not pass, None where it is.

    Raises:
        GateFailure: the verdict is not pass, and no reason was given; or it is, against its own rules.
        InputError: a reason was given and is not needed, or is not one plain line.
    """
    verdict = facts.verdict
    if verdict.status == "pass":
        against = sorted({rule.rule for rule in verdict.rules if rule.status != "pass"})
        if against:
            raise GateFailure(
                f"{report}: says pass, and its own rules do not ({', '.join(against)}); the report was"
                " changed, audit again"
            )
        if reason is not None:
            raise InputError(f"{report}: the verdict is pass, there is no risk to accept; drop --accept-risk")
        return None
    if reason is None:
        failed = sorted({rule.rule for rule in verdict.rules if rule.status != "pass"})
        raise GateFailure(
            f"{report}: the verdict is {verdict.status} ({', '.join(failed)}), so it is not signed;"
            ' repair the checkpoint, or sign with --accept-risk "reason"'
        )
    reason = reason.strip()
    if not reason or not is_line(reason):
        raise InputError(f"--accept-risk: give a reason in one line of at most {LINE_LIMIT} characters")
    return reason


def refuse_other_bytes(path: Path, files: Sequence[FileDigest], facts: AuditFacts, report: Path) -> None:
    """Refuse a report of other bytes.

    Raises:
        GateFailure: a file is changed, missing, extra or renamed; each is named.
    """
    audited = {file.path: file.sha256 for file in facts.checkpoint.files}
    problems = differences(audited, {file.path: file.sha256 for file in files})
    if not problems and {f.path: f.size for f in facts.checkpoint.files} != {f.path: f.size for f in files}:
        problems = ("sizes differ from the report's",)
    if problems:
        raise GateFailure(
            f"{path}: not the bytes that {report} audited: {named_problems(problems)}; audit it again"
        )
