"""The signed statement: in-toto Statement v1 with qaudit's audit predicate, as RFC 8785 bytes.

Subjects are every file of the checkpoint; `qaudit.attest.predicate` says what stands beside them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

import rfc8785
from pydantic import Field, StringConstraints

from qaudit import __version__
from qaudit.attest.audit_facts import AuditFacts, CheckpointFact, Line, MetricFacts, PairedFact
from qaudit.attest.document_parts import ClosedPart, Digest, OpenPart
from qaudit.attest.manifest import FILE_LIMIT, manifest_digest
from qaudit.attest.predicate import (
    Artifact,
    Engine,
    FirstToken,
    Headline,
    Manifest,
    ModelSignature,
    Paired,
    PolicyRef,
    Predicate,
    Quantization,
    Rate,
    Recount,
    ReportRef,
    Rtsi,
    RuleOutcome,
    SuiteRef,
    Time,
    Tool,
    Verdict,
)
from qaudit.attest.utc_times import parse_utc, utc_text
from qaudit.errors import VerificationFailed
from qaudit.files import sha256_bytes
from qaudit.strict_json import load_strict, parse_as
from qaudit.values import FileDigest

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://qaudit.dev/attestation/audit/v1"


class Subject(ClosedPart):
    """One file."""

    name: Annotated[Line, StringConstraints(min_length=1)]
    digest: Digest


class Statement(ClosedPart):
    """An in-toto Statement v1 with our predicate."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: tuple[Subject, ...] = Field(min_length=1, max_length=FILE_LIMIT)
    predicateType: Literal["https://qaudit.dev/attestation/audit/v1"]
    predicate: Predicate

    def digests(self) -> dict[str, str]:
        """Return name to SHA-256 of every subject."""
        return {subject.name: subject.digest.sha256 for subject in self.subject}


class _Head(OpenPart):
    """The two fields that say what a payload is, of any in-toto statement."""

    type_: str = Field(alias="_type")
    predicateType: str


def build_statement(
    facts: AuditFacts,
    files: Sequence[FileDigest],
    *,
    report_sha256: str,
    quantization: Quantization,
    accepted_risk: str | None,
    verified: datetime,
    not_after: datetime,
    recount: Recount | None = None,
    oms_sha256: str | None = None,
) -> bytes:
    """Return the RFC 8785 bytes of the statement over `files`.

    Args:
        facts: what the report says.
        files: every file of the checkpoint.
        report_sha256: digest of the report's exact bytes.
        quantization: how the checkpoint was quantized.
        accepted_risk: the signer's reason where the verdict is not pass.
        verified: when report, policy and files were found to belong together (UTC).
        not_after: when the approval ends (UTC).
        recount: what of the report was counted again, see `recount_of`; None says nothing of it.
        oms_sha256: digest of the OMS signature that goes with the release, where there is one.

    Raises:
        ValueError: the parts contradict one another (pydantic says which).
    """
    verdict = facts.verdict
    statement = Statement(
        _type=STATEMENT_TYPE,
        subject=tuple(
            Subject(name=f.path, digest=Digest(sha256=f.sha256))
            for f in sorted(files, key=lambda file: file.path)
        ),
        predicateType=PREDICATE_TYPE,
        predicate=Predicate(
            tool=Tool(name="qaudit", version=__version__),
            verdict=Verdict(
                decision="approved" if verdict.status == "pass" else "conditional",
                status=verdict.status,
                regime=verdict.regime,
                rules=tuple(RuleOutcome(rule=rule.rule, status=rule.status) for rule in verdict.rules),
                acceptedRisk=accepted_risk,
            ),
            manifest=Manifest(
                files=len(files),
                sizeBytes=str(sum(file.size for file in files)),
                digest=Digest(sha256=manifest_digest(files)),
            ),
            checkpoint=_artifact(facts.checkpoint),
            reference=_artifact(facts.reference),
            quantization=quantization,
            report=ReportRef(
                digest=Digest(sha256=report_sha256),
                created=facts.created,
                tool=Tool(name=facts.tool.name, version=facts.tool.version),
                headline=_headline(facts.metrics),
            ),
            recount=recount,
            policy=PolicyRef(
                name=verdict.policy.name,
                version=verdict.policy.version,
                digest=Digest(sha256=verdict.policy.sha256),
            ),
            suites=tuple(
                SuiteRef(name=s.name, version=s.version, digest=Digest(sha256=s.sha256), items=s.items)
                for s in facts.suites
            ),
            engine=Engine(**facts.engine.model_dump()),
            modelSignature=None if oms_sha256 is None else ModelSignature(digest=Digest(sha256=oms_sha256)),
            timeVerified=utc_text(verified),
            notAfter=utc_text(not_after),
        ),
    )
    return rfc8785.dumps(statement.model_dump(mode="json", by_alias=True, exclude_none=True))


def recount_of(facts: AuditFacts, why_not: str | None) -> Recount:
    """Return what the statement says of the figures that were counted again.

    Args:
        facts: what the report says.
        why_not: why not all that replies decide was counted again; None where it was.

    Raises:
        ValueError: the reason is no plain line.
    """
    return Recount(complete=why_not is None, why=why_not, asTold=facts.metrics.without_replies)


def payload_types(payload: bytes, where: object) -> tuple[str, str]:
    """Return (statement type, predicate type) of a payload.

    Raises:
        VerificationFailed: not a strict JSON in-toto statement.
    """
    try:
        head = parse_as(_Head, payload)
    except ValueError as error:
        raise VerificationFailed(
            f"{where}: the signed payload is not an in-toto statement ({error})"
        ) from error
    return head.type_, head.predicateType


def parse_statement(payload: bytes, where: object) -> Statement:
    """Parse an authenticated payload as our statement.

    Raises:
        VerificationFailed: another type, a wrong or unknown key, a name twice, or bytes that are
            not the RFC 8785 form of what they say.
    """
    kind, predicate_kind = payload_types(payload, where)
    if kind != STATEMENT_TYPE or predicate_kind != PREDICATE_TYPE:
        raise VerificationFailed(
            f"{where}: signs {ascii(predicate_kind)[:120]}, not an audit ({PREDICATE_TYPE});"
            " this is another kind of statement"
        )
    try:
        statement = parse_as(Statement, payload)
        if rfc8785.dumps(load_strict(payload)) != payload:  # type: ignore[arg-type]  # JSON by construction
            raise ValueError("not in RFC 8785 form")
        if len(statement.digests()) != len(statement.subject):
            raise ValueError("subject: a name appears twice")
    except (ValueError, rfc8785.CanonicalizationError) as error:
        raise VerificationFailed(
            f"{where}: the signed statement is not valid ({error}); ask the publisher to sign again"
        ) from error
    return statement


def parse_time(text: Time) -> datetime:
    """Return a statement's time as an aware datetime; raises ValueError for a day that is not."""
    return parse_utc(text)


def statement_digest(payload: bytes) -> str:
    """Return the digest under which a statement is revoked."""
    return sha256_bytes(payload)


def _artifact(fact: CheckpointFact) -> Artifact:
    return Artifact(
        format=fact.format,
        quantization=fact.quantization,
        architecture=fact.architecture,
        parameters=str(fact.parameters),
        digest=Digest(sha256=fact.sha256),
    )


def _headline(metrics: MetricFacts) -> Headline:
    token, rtsi = metrics.first_token, metrics.rtsi
    return Headline(
        refusal=_paired(metrics.refusal),
        overRefusal=_paired(metrics.over_refusal),
        firstToken=FirstToken(n=token.n, flipRate=token.flip_rate, ci95=token.ci95) if token else None,
        rtsi=Rtsi(score=rtsi.score, risk=rtsi.risk) if rtsi else None,
    )


def _paired(fact: PairedFact | None) -> Paired | None:
    if fact is None:
        return None
    return Paired(
        reference=Rate(**fact.reference.model_dump()),
        candidate=Rate(**fact.candidate.model_dump()),
        delta=fact.delta,
        deltaCi95=fact.delta_ci95,
    )
