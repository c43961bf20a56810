"""Sign a checkpoint with its audit: the publisher's gate.

Nothing is signed unless report, policy and checkpoint belong together byte for byte and the
verdict is pass (or the signer accepts the risk by name).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from qaudit.attest.audit_facts import LINE_PATTERN, AuditFacts, VerdictFact, read_audit_facts
from qaudit.attest.dsse import Sealer, parse_bundle
from qaudit.attest.layout import (
    POLICY_LIMIT,
    REPORT_LIMIT,
    Places,
    places,
    refuse_inside,
    write_all,
)
from qaudit.attest.local_key import PasswordSource, load_signer, password_from_environment
from qaudit.attest.manifest import differences, hash_files, list_files
from qaudit.attest.statement import build_statement, statement_digest
from qaudit.errors import GateFailure, InputError
from qaudit.files import read_bounded, sha256_bytes
from qaudit.shipped import shipped_names, shipped_or_file
from qaudit.strict_yaml import load_strict_yaml
from qaudit.values import FileDigest

DEFAULT_VALID_DAYS = 365
MAX_VALID_DAYS = 3650
MAX_RISK_LENGTH = 1000

POLICY_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Signed:
    """What `sign` wrote."""

    places: Places
    files: tuple[FileDigest, ...]
    decision: str
    statement_sha256: str
    not_after: str


def sign(
    path: Path | str,
    *,
    report: Path | str,
    key: Path | str,
    policy: Path | str | None = None,
    out: Path | str | None = None,
    accept_risk: str | None = None,
    valid_days: int = DEFAULT_VALID_DAYS,
    password: PasswordSource | None = None,
    now: datetime | None = None,
    on_file: Callable[[FileDigest], None] | None = None,
) -> Signed:
    """Sign a checkpoint with its audit report and policy, using a private key in a file.

    Args:
        path: the checkpoint, a file or a folder.
        report: the `report.json` of its audit.
        key: private key in PEM, P-256 or Ed25519.
        policy: the policy in force, a file or the name of a shipped one; by default the shipped
            policy that the report names.
        out: the bundle's place; report and policy go beside it.
        accept_risk: the reason to sign although the verdict is not pass; it is signed too.
        valid_days: how long the approval lasts.
        password: asked when the key is encrypted; by default QAUDIT_KEY_PASSWORD.
        now: the time of signing (UTC), for tests and reproducible releases.
        on_file: called after each hashed file.

    Raises:
        GateFailure: the verdict is not pass, or report, policy and files do not belong together.
        InputError: something given is unusable.
        OutputProblem: the result cannot be written; nothing is left behind.
    """
    signer = load_signer(Path(key), password or _environment_password)
    return seal_release(
        Path(path),
        signer,
        report=Path(report),
        policy=policy,
        out=None if out is None else Path(out),
        accept_risk=accept_risk,
        valid_days=valid_days,
        now=now,
        on_file=on_file,
    )


def seal_release(
    path: Path,
    signer: Sealer,
    *,
    report: Path,
    policy: Path | str | None,
    out: Path | None,
    accept_risk: str | None,
    valid_days: int,
    now: datetime | None,
    on_file: Callable[[FileDigest], None] | None,
) -> Signed:
    """Run the signing gate and seal with any mode; `sign` says what the arguments are."""
    if not 1 <= valid_days <= MAX_VALID_DAYS:
        raise InputError(f"valid days {valid_days}: give 1 to {MAX_VALID_DAYS}")
    report_bytes = read_bounded(report, REPORT_LIMIT)
    facts = read_audit_facts(report_bytes, report)
    policy_bytes = _policy_in_force(policy, facts, report)
    risk = _accepted_risk(facts.verdict, accept_risk, report)
    where = places(path, out)
    entries = list_files(path)
    refuse_inside(path, where.bundle)
    files = hash_files(entries, on_file)
    _refuse_other_bytes(path, files, facts, report)
    verified = (now or datetime.now(UTC)).astimezone(UTC)
    statement = build_statement(
        facts,
        files,
        report_sha256=sha256_bytes(report_bytes),
        accepted_risk=risk,
        verified=verified,
        not_after=verified + timedelta(days=valid_days),
    )
    sealed = signer.seal(statement)
    # what a consumer's parser would refuse must never leave the house
    parse_bundle(sealed, where.bundle)
    write_all(where, bundle=sealed, report=report_bytes, policy=policy_bytes)
    return Signed(
        places=where,
        files=files,
        decision="approved" if risk is None else "conditional",
        statement_sha256=statement_digest(statement),
        not_after=(verified + timedelta(days=valid_days)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def read_policy(policy: Path | str) -> bytes:
    """Return the bytes of a policy given as a file or as the name of a shipped one.

    Raises:
        InputError: there is no such file or shipped policy.
    """
    file = shipped_or_file("policies", str(policy))
    if file is None:
        raise InputError(f"{policy}: neither a policy file nor the name of a shipped policy")
    return read_bounded(file, POLICY_LIMIT)


def _environment_password() -> str:
    password = password_from_environment()
    if password is None:
        raise InputError("the key is encrypted; set QAUDIT_KEY_PASSWORD or run in a terminal")
    return password


def _policy_in_force(policy: Path | str | None, facts: AuditFacts, report: Path) -> bytes:
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
    _refuse_unreadable_policy(data, shown)
    return data


def _refuse_unreadable_policy(data: bytes, shown: str) -> None:
    try:
        document = load_strict_yaml(data, POLICY_DEPTH)
    except ValueError as error:
        raise InputError(f"{shown}: not a policy ({error}); give the one that judged the report") from error
    if not isinstance(document, dict):
        raise InputError(f"{shown}: not a policy; give the policy that judged the report")


def _accepted_risk(verdict: VerdictFact, reason: str | None, report: Path) -> str | None:
    if verdict.status == "pass":
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
    if not reason or len(reason) > MAX_RISK_LENGTH or not _is_line(reason):
        raise InputError(f"--accept-risk: give a reason in one line of at most {MAX_RISK_LENGTH} characters")
    return reason


def _is_line(text: str) -> bool:
    return re.fullmatch(LINE_PATTERN, text) is not None


def _refuse_other_bytes(path: Path, files: tuple[FileDigest, ...], facts: AuditFacts, report: Path) -> None:
    audited = {file.path: file.sha256 for file in facts.checkpoint.files}
    problems = differences(audited, {file.path: file.sha256 for file in files})
    if not problems and {f.path: f.size for f in facts.checkpoint.files} != {f.path: f.size for f in files}:
        problems = ("sizes differ from the report's",)
    if problems:
        raise GateFailure(
            f"{path}: not the bytes that {report} audited: {'; '.join(problems[:20])}; audit it again"
        )
