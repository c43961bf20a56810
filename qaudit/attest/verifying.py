"""The consumer's gate: verify a checkpoint against its signature, closed on failure.

The order matters: parse strictly, authenticate, check the types, list the tree ourselves, compare
every file, compare report and policy, check time and revocation, and only then the decision.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from qaudit.attest.dsse import Authenticator, Bundle, SignedBy, parse_bundle
from qaudit.attest.layout import (
    BUNDLE_LIMIT,
    POLICY_LIMIT,
    REPORT_LIMIT,
    Places,
    find_signature,
    places,
    read_regular,
)
from qaudit.attest.local_key import KeyVerifier, load_verifier
from qaudit.attest.manifest import UnsignableTree, differences, hash_files, list_files, manifest_digest
from qaudit.attest.oms import OMS_PREDICATE_TYPE, verify_oms
from qaudit.attest.predicate import Predicate
from qaudit.attest.revocation import read_revocations
from qaudit.attest.signing import read_policy
from qaudit.attest.statement import (
    Statement,
    parse_statement,
    parse_time,
    payload_types,
    statement_digest,
)
from qaudit.errors import InputError, VerificationFailed
from qaudit.files import sha256_bytes
from qaudit.values import FileDigest

# signer's and verifier's clocks may differ by this much
CLOCK_SKEW = timedelta(minutes=5)
NAMED_PROBLEMS = 20


class FilesDiffer(VerificationFailed):
    """Files of the checkpoint are not as signed; `problems` names every one of them."""

    def __init__(self, path: Path, problems: tuple[str, ...]) -> None:
        shown = "; ".join(problems[:NAMED_PROBLEMS])
        more = len(problems) - NAMED_PROBLEMS
        rest = f"; and {more} more" if more > 0 else ""
        super().__init__(f"{path}: not as signed: {shown}{rest}; do not load it, fetch the release again")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified.

    `audit` is None for a bare OMS signature: its files are the signer's, and nobody says that they
    were audited. `report` and `policy` are the signed files that were checked.
    """

    path: Path
    bundle: Path
    signed_by: SignedBy
    statement_sha256: str
    names: tuple[str, ...]
    audit: Predicate | None
    report: Path | None = None
    policy: Path | None = None

    @property
    def audited(self) -> bool:
        """Whether an audit stands behind the signature."""
        return self.audit is not None


def verify(
    path: Path | str,
    *,
    key: Path | str,
    bundle: Path | str | None = None,
    policy: Path | str | None = None,
    ignore_paths: Iterable[str] = (),
    accept_conditional: bool = False,
    require_audit: bool = False,
    revoked: Path | str | None = None,
    now: datetime | None = None,
    on_file: Callable[[FileDigest], None] | None = None,
) -> Verified:
    """Verify a checkpoint with a public key; returning at all means that it passed.

    Args:
        path: the checkpoint, a file or a folder.
        key: public key in PEM; there is no way to accept any signer.
        bundle: the signature's place, when it is not the usual one.
        policy: the policy that the consumer insists on, a file or a shipped name; implies an audit.
        ignore_paths: paths to leave out, for bare OMS signatures only.
        accept_conditional: also accept a release that was signed with `--accept-risk`.
        require_audit: refuse a bare OMS signature.
        revoked: file with digests of statements that no longer pass.
        now: the time to verify at (UTC), for tests.
        on_file: called after each hashed file.

    Raises:
        VerificationFailed: anything is not as signed, or the signature is not the key's.
        InputError: something given is unusable, or there is no signature at all.
        MissingExtra: an OMS signature needs the `sign` extra.
    """
    checkpoint = Path(path)
    authenticator = load_verifier(Path(key))
    if not checkpoint.exists():
        raise InputError(f"{checkpoint}: no such file or folder; check the path")
    where = Path(bundle) if bundle is not None else find_signature(checkpoint)
    revocations = frozenset[str]() if revoked is None else read_revocations(Path(revoked))
    required_policy = None if policy is None else (str(policy), sha256_bytes(read_policy(policy)))
    signed = parse_bundle(_read_signature(where, named=bundle is not None), where)
    moment = now or datetime.now(UTC)
    _, predicate_type = payload_types(signed.payload, where)
    try:
        if predicate_type == OMS_PREDICATE_TYPE:
            if bundle is None and where == places(checkpoint).bundle:
                raise VerificationFailed(
                    f"{where}: a bare OMS signature lies in the place of the audit's; fetch the release again"
                )
            if require_audit or required_policy is not None:
                raise VerificationFailed(
                    f"{where}: a bare OMS signature, which carries no audit, and an audit is required"
                )
            return _verify_bare(checkpoint, signed, where, authenticator, ignore_paths, revocations)
        if tuple(ignore_paths):
            raise InputError(
                "--ignore-paths is for bare OMS signatures; an audited release covers every file"
            )
        return _verify_audited(
            checkpoint,
            signed,
            places(checkpoint, where),
            authenticator,
            required_policy=required_policy,
            accept_conditional=accept_conditional,
            revocations=revocations,
            now=moment,
            on_file=on_file,
        )
    except UnsignableTree as error:
        raise VerificationFailed(str(error)) from error


def _verify_bare(
    checkpoint: Path,
    signed: Bundle,
    where: Path,
    key: KeyVerifier,
    ignore_paths: Iterable[str],
    revocations: frozenset[str],
) -> Verified:
    names = verify_oms(checkpoint, signed, where, key, ignore_paths)
    digest = _refuse_revoked(signed.payload, where, revocations)
    return Verified(checkpoint, where, SignedBy("key", key.identity), digest, names, audit=None)


def _verify_audited(
    checkpoint: Path,
    signed: Bundle,
    where: Places,
    authenticator: Authenticator,
    *,
    required_policy: tuple[str, str] | None,
    accept_conditional: bool,
    revocations: frozenset[str],
    now: datetime,
    on_file: Callable[[FileDigest], None] | None,
) -> Verified:
    signed_by = authenticator.authenticate(signed, where.bundle)
    statement = parse_statement(signed.payload, where.bundle)
    predicate = statement.predicate
    _compare_files(checkpoint, statement, where, on_file)
    _compare_sidecar(where.report, REPORT_LIMIT, predicate.report.digest.sha256, "report")
    _compare_sidecar(where.policy, POLICY_LIMIT, predicate.policy.digest.sha256, "policy")
    if required_policy is not None and required_policy[1] != predicate.policy.digest.sha256:
        raise VerificationFailed(
            f"{where.policy}: the release was judged by the policy {predicate.policy.name!r} version"
            f" {predicate.policy.version}, not by {required_policy[0]}; audit it against yours"
        )
    _check_time(predicate, where.bundle, now)
    digest = _refuse_revoked(signed.payload, where.bundle, revocations)
    _check_decision(predicate, where.bundle, accept_conditional)
    return Verified(
        checkpoint,
        where.bundle,
        signed_by,
        digest,
        tuple(statement.digests()),
        audit=predicate,
        report=where.report,
        policy=where.policy,
    )


def _read_signature(where: Path, *, named: bool) -> bytes:
    try:
        return read_regular(where, BUNDLE_LIMIT)
    except InputError as error:
        if named:
            raise
        # the usual place shows traces of an audit: its signature being away is an attack or damage
        raise VerificationFailed(f"{error}; the audit's signature was taken away or damaged") from error


def _compare_files(
    checkpoint: Path,
    statement: Statement,
    where: Places,
    on_file: Callable[[FileDigest], None] | None,
) -> None:
    signed = statement.digests()
    found = hash_files(list_files(checkpoint), on_file)
    problems = differences(signed, {file.path: file.sha256 for file in found})
    if problems:
        raise FilesDiffer(checkpoint, problems)
    manifest = statement.predicate.manifest
    sizes = str(sum(file.size for file in found))
    if (manifest.files, manifest.sizeBytes, manifest.digest.sha256) != (
        len(found),
        sizes,
        manifest_digest(found),
    ):
        raise VerificationFailed(
            f"{where.bundle}: its manifest contradicts its list of files; do not trust it"
        )


def _compare_sidecar(path: Path, limit: int, sha256: str, what: str) -> None:
    try:
        data = read_regular(path, limit)
    except InputError as error:
        raise VerificationFailed(f"{error}; the signed {what} must lie beside the bundle") from error
    if sha256_bytes(data) != sha256:
        raise VerificationFailed(f"{path}: not the {what} that was signed; fetch the release again")


def _check_time(predicate: Predicate, where: Path, now: datetime) -> None:
    try:
        verified, not_after = parse_time(predicate.timeVerified), parse_time(predicate.notAfter)
    except ValueError as error:
        raise VerificationFailed(f"{where}: holds a date that does not exist; ask for a new one") from error
    if verified > now + CLOCK_SKEW:
        raise VerificationFailed(f"{where}: signed in the future ({predicate.timeVerified}); check the clock")
    if now >= not_after:
        raise VerificationFailed(
            f"{where}: the approval ended at {predicate.notAfter}; ask the publisher for a new audit"
        )


def _refuse_revoked(payload: bytes, where: Path, revocations: frozenset[str]) -> str:
    digest = statement_digest(payload)
    if digest in revocations:
        raise VerificationFailed(f"{where}: the statement {digest} is revoked; do not load the checkpoint")
    return digest


def _check_decision(predicate: Predicate, where: Path, accept_conditional: bool) -> None:
    verdict = predicate.verdict
    if verdict.decision == "approved" or accept_conditional:
        return
    raise VerificationFailed(
        f"{where}: signed although the verdict is {verdict.status}"
        f" (accepted risk: {verdict.acceptedRisk}); to take it all the same, add --accept-conditional"
    )
