"""The consumer's gate: verify a checkpoint against its signature, closed on failure.

The order matters: parse strictly, authenticate, check the types, list the tree ourselves, compare
every file, compare report and policy, check time and revocation, and only then the decision.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qaudit.attest.dsse import Authenticator, Bundle, SignedBy, parse_bundle
from qaudit.attest.files_differ import FilesDiffer
from qaudit.attest.layout import (
    BUNDLE_LIMIT,
    RECIPE_LIMIT,
    REPORT_LIMIT,
    Places,
    find_signature,
    places,
    read_regular,
    usable_path,
)
from qaudit.attest.manifest import Entry, UnsignableTree, differences, hash_files, list_files, manifest_digest
from qaudit.attest.oms_signing import oms_place
from qaudit.attest.oms_statement import OLD_OMS_PREDICATE_TYPE, OMS_PREDICATE_TYPE
from qaudit.attest.predicate import Predicate
from qaudit.attest.release_checks import (
    check_decision,
    check_oms,
    check_recipe,
    check_terms,
    check_time,
    refuse_unchecked,
    signed_companion,
    usual_place,
)
from qaudit.attest.release_terms import POLICY_LIMIT, ReleaseTerms, read_policy, read_terms
from qaudit.attest.revocation import read_revocations
from qaudit.attest.signed_facts import check_facts, check_policy_name
from qaudit.attest.statement import Statement, parse_statement, payload_types, statement_digest
from qaudit.attest.summaries import SummaryKind, check_summaries
from qaudit.attest.trusted_signers import authenticator_for
from qaudit.errors import InputError, VerificationFailed
from qaudit.files import long_names_refused
from qaudit.values import FileDigest

if TYPE_CHECKING:
    from qaudit.attest.certificate_mode import CertificateTrust
    from qaudit.attest.keyless_verifying import Identity

Hashing = Callable[[Sequence[Entry]], Sequence[FileDigest]]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified.

    `audit` is None for a bare OMS signature: its files are the signer's, and nobody says that they
    were audited. `report`, `policy` and `recipe` are the signed files that were checked, `summaries`
    the further statements about the audit.
    """

    path: Path
    bundle: Path
    signed_by: SignedBy
    statement_sha256: str
    names: tuple[str, ...]
    audit: Predicate | None
    report: Path | None = None
    policy: Path | None = None
    recipe: Path | None = None
    summaries: tuple[SummaryKind, ...] = ()

    @property
    def audited(self) -> bool:
        """Whether an audit stands behind the signature."""
        return self.audit is not None


@long_names_refused()
def verify(
    path: Path | str,
    *,
    key: Path | str | None = None,
    certificate: "CertificateTrust | None" = None,
    identity: "Identity | None" = None,
    bundle: Path | str | None = None,
    policy: Path | str | None = None,
    ignore_paths: Iterable[str] = (),
    accept_conditional: bool = False,
    require_audit: bool = False,
    revoked: Path | str | None = None,
    now: datetime | None = None,
    on_file: Callable[[FileDigest], None] | None = None,
    on_read: Callable[[int], None] | None = None,
) -> Verified:
    """Verify a checkpoint; returning at all means that it passed.

    Exactly one of `key`, `certificate` and `identity` says whose signature counts: there is no way
    to accept any signer.

    Args:
        path: the checkpoint, a file or a folder.
        key: the signer's public key in PEM.
        certificate: the roots and the subject of the signer's certificate.
        identity: who signed with Sigstore, and who vouches for it.
        bundle: the signature's place, when it is not the usual one.
        policy: the consumer's own, a file or a shipped name; implies an audit. One with rules must be
            the policy that judged the release, byte for byte; the suite versions, age and verdicts
            that it asks for hold in any case.
        ignore_paths: paths to leave out, for bare OMS signatures only.
        accept_conditional: also accept a release that was signed with `--accept-risk`.
        require_audit: refuse a bare OMS signature.
        revoked: file with digests of statements that no longer pass.
        now: the time to verify at (UTC), for tests.
        on_file: called after each hashed file.
        on_read: called while files are hashed with how many more bytes were, from several threads.

    Raises:
        VerificationFailed: anything is not as signed, or the signature is another's.
        InputError: something given is unusable, or there is no signature at all.
        MissingExtra: an OMS signature needs the `sign` extra.
    """
    checkpoint = usable_path(path)
    authenticator = authenticator_for(key=key, certificate=certificate, identity=identity, now=now)
    if not checkpoint.exists():
        raise InputError(f"{checkpoint}: no such file or folder; check the path")
    where = find_signature(checkpoint) if bundle is None else usual_place(checkpoint, bundle)
    revocations = frozenset[str]() if revoked is None else read_revocations(Path(revoked))
    consumer = None if policy is None else _consumer_terms(policy)
    signed = parse_bundle(_read_signature(where, named=bundle is not None), where)
    moment = now or datetime.now(UTC)
    _, predicate_type = payload_types(signed.payload, where)
    if predicate_type == OLD_OMS_PREDICATE_TYPE:
        raise VerificationFailed(
            f"{where}: made by model_signing before 1.0, which signed other bytes than it should;"
            " ask the publisher to sign again"
        )
    try:
        if predicate_type == OMS_PREDICATE_TYPE:
            if (bundle is None or checkpoint.is_dir()) and where == places(checkpoint).bundle:
                raise VerificationFailed(
                    f"{where}: a bare OMS signature lies in the place of the audit's; fetch the release again"
                )
            if require_audit or consumer is not None:
                raise VerificationFailed(
                    f"{where}: a bare OMS signature, which carries no audit, and an audit is required"
                )
            return _verify_bare(
                checkpoint,
                signed,
                where,
                authenticator,
                tuple(ignore_paths),
                revocations,
                named=bundle is not None,
            )
        if tuple(ignore_paths):
            # what is not as signed is refused as that, also where it says that it is something else
            authenticator.authenticate(signed, where)
            parse_statement(signed.payload, where)
            raise InputError(
                "--ignore-paths is for bare OMS signatures; an audited release covers every file"
            )
        return _verify_audited(
            checkpoint,
            signed,
            places(checkpoint, where),
            authenticator,
            consumer=consumer,
            accept_conditional=accept_conditional,
            revocations=revocations,
            now=moment,
            hashing=partial(hash_files, on_file=on_file, on_read=on_read),
        )
    except UnsignableTree as error:
        raise VerificationFailed(str(error)) from error


def _verify_bare(
    checkpoint: Path,
    signed: Bundle,
    where: Path,
    authenticator: Authenticator,
    ignore_paths: tuple[str, ...],
    revocations: frozenset[str],
    *,
    named: bool,
) -> Verified:
    from qaudit.attest.oms import verify_oms

    signed_by, names = verify_oms(checkpoint, signed, where, authenticator, ignore_paths, named=named)
    # the signature leaves itself out, and nothing else that nobody signed
    refuse_unchecked(checkpoint, where, bare=True, ignored=ignore_paths)
    digest = _refuse_revoked(signed.payload, where, revocations)
    return Verified(checkpoint, where, signed_by, digest, names, audit=None)


def _verify_audited(
    checkpoint: Path,
    signed: Bundle,
    where: Places,
    authenticator: Authenticator,
    *,
    consumer: ReleaseTerms | None,
    accept_conditional: bool,
    revocations: frozenset[str],
    now: datetime,
    hashing: Hashing,
) -> Verified:
    signed_by = authenticator.authenticate(signed, where.bundle)
    statement = parse_statement(signed.payload, where.bundle)
    predicate = statement.predicate
    found = _compare_files(checkpoint, statement, where, hashing)
    oms = oms_place(checkpoint, where.bundle)
    refuse_unchecked(checkpoint, where.bundle, *([oms] if predicate.modelSignature else []))
    report = signed_companion(where.report, REPORT_LIMIT, predicate.report.digest.sha256, "report")
    in_force = signed_companion(where.policy, POLICY_LIMIT, predicate.policy.digest.sha256, "policy")
    recipe = check_recipe(predicate, where, RECIPE_LIMIT, found)
    if consumer is not None and consumer.has_rules and consumer.sha256 != predicate.policy.digest.sha256:
        raise VerificationFailed(
            f"{where.policy}: the release was judged by the policy {predicate.policy.name!r} version"
            f" {predicate.policy.version}, not by {consumer.shown}; audit it against yours"
        )
    check_oms(oms, predicate)
    check_time(predicate, signed_by.signed_at, where.bundle, now)
    digest = _refuse_revoked(signed.payload, where.bundle, revocations)
    summaries = check_summaries(where, authenticator, signed_by, statement, signed.raw)
    signed_terms = _signed_terms(in_force, where.policy)
    check_terms(signed_terms, predicate, where.bundle, now, whose="the signed policy")
    if consumer is not None:
        check_terms(consumer, predicate, where.bundle, now, whose="your policy")
        accept_conditional = accept_conditional or predicate.verdict.status in (consumer.verdicts or ())
    check_facts(report, where.report, predicate, found)
    check_policy_name(signed_terms, predicate, where.policy)
    check_decision(predicate, where.bundle, accept_conditional=accept_conditional)
    return Verified(
        checkpoint,
        where.bundle,
        signed_by,
        digest,
        tuple(statement.digests()),
        audit=predicate,
        report=where.report,
        policy=where.policy,
        recipe=recipe,
        summaries=summaries,
    )


def _consumer_terms(policy: Path | str) -> ReleaseTerms:
    terms = read_terms(read_policy(policy), policy)
    if not terms.asks_something:
        raise InputError(f"{policy}: asks for nothing, so nothing can be verified by it; see docs/signing.md")
    if terms.measured and not terms.has_rules:
        raise InputError(
            f"{policy}: requires.{terms.measured[0]} is for rules to judge by, and this policy has none;"
            " leave the key out, or add rules and audit by them"
        )
    return terms


def _signed_terms(data: bytes, where: Path) -> ReleaseTerms:
    try:
        return read_terms(data, where)
    except InputError as error:
        raise VerificationFailed(str(error)) from error


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
    hashing: Hashing,
) -> Sequence[FileDigest]:
    signed = statement.digests()
    found = hashing(list_files(checkpoint))
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
    return found


def _refuse_revoked(payload: bytes, where: Path, revocations: frozenset[str]) -> str:
    digest = statement_digest(payload)
    if digest in revocations:
        raise VerificationFailed(f"{where}: the statement {digest} is revoked; do not load the checkpoint")
    return digest
