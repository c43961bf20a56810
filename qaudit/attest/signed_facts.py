"""What a signature says of an audit must be what the report and the policy beside it say.

Digests bind the files; the statement repeats their gist, and consumers decide by the gist. A publisher's
key that signs another gist than the report holds would otherwise be believed.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from qaudit.attest.audit_facts import AuditFacts, read_audit_facts
from qaudit.attest.predicate import Predicate
from qaudit.attest.release_terms import ReleaseTerms
from qaudit.attest.statement import build_statement, parse_statement, parse_time, recount_of
from qaudit.errors import QauditError, VerificationFailed
from qaudit.strict_json import first_problem
from qaudit.values import FileDigest

# written by the program that signed, which may be another version than this one
_NOT_OF_THE_REPORT = frozenset({"tool"})


def check_facts(raw: bytes, report: Path, predicate: Predicate, files: Sequence[FileDigest]) -> AuditFacts:
    """Check that a predicate says what its report says, and return what that is.

    Args:
        raw: the report's bytes, which are the signed ones.
        report: its place, for messages.
        predicate: what was signed.
        files: the files of the checkpoint, as they were found.

    Raises:
        VerificationFailed: it says anything else; the report is no report; it passes although a rule
            does not; or it names a suite twice, so that nobody can say which one counts.
    """
    try:
        facts = read_audit_facts(raw, report)
        if facts.verdict.status != predicate.verdict.status:
            raise ValueError(f"its verdict is {facts.verdict.status}, not {predicate.verdict.status}")
        expected = _statement_of(facts, predicate, files, report)
    except ValidationError as error:
        raise VerificationFailed(
            f"{report}: cannot be what was signed ({first_problem(error)}); ask the publisher to audit and"
            " sign again"
        ) from error
    except (QauditError, ValueError) as error:
        raise VerificationFailed(
            f"{report}: cannot be what was signed ({error}); ask the publisher to audit and sign again"
        ) from error
    for name in Predicate.model_fields:
        if name not in _NOT_OF_THE_REPORT and getattr(predicate, name) != getattr(expected, name):
            where = _place(predicate, expected, name)
            raise VerificationFailed(
                f"{report}: is not what the signature says of it ({where} differs); do not trust it"
            )
    if predicate.quantization.type != facts.checkpoint.quantization:
        raise VerificationFailed(
            f"{report}: is not what the signature says of it (quantization.type differs); do not trust it"
        )
    verdict = predicate.verdict
    open_rules = sorted({outcome.rule for outcome in verdict.rules if outcome.status != "pass"})
    if verdict.status == "pass" and open_rules:
        raise VerificationFailed(
            f"{report}: passes although the rule {open_rules[0]!a} does not; ask the publisher for a new"
            " audit"
        )
    times = Counter(suite.name for suite in predicate.suites)
    if repeated := sorted(name for name, count in times.items() if count > 1):
        raise VerificationFailed(
            f"{report}: names the suite {repeated[0]!a} twice; ask the publisher for a new audit"
        )
    return facts


def check_policy_name(terms: ReleaseTerms, predicate: Predicate, policy: Path) -> None:
    """Check that the signed policy is called what the signature calls it.

    Raises:
        VerificationFailed: it has another name or version.
    """
    if (terms.name, terms.version) != (predicate.policy.name, predicate.policy.version):
        raise VerificationFailed(
            f"{policy}: is the policy {terms.name!a} version {terms.version!a}, and the signature calls it"
            f" {predicate.policy.name!a} version {predicate.policy.version!a}; do not trust it"
        )


def _statement_of(
    facts: AuditFacts, predicate: Predicate, files: Sequence[FileDigest], where: Path
) -> Predicate:
    """Return the predicate that follows from the report, with what only the signer knows taken over."""
    signature, recount = predicate.modelSignature, predicate.recount
    payload = build_statement(
        facts,
        files,
        report_sha256=predicate.report.digest.sha256,
        quantization=predicate.quantization,
        accepted_risk=predicate.verdict.acceptedRisk,
        verified=parse_time(predicate.timeVerified),
        not_after=parse_time(predicate.notAfter),
        recount=None if recount is None else recount_of(facts, recount.why),
        oms_sha256=None if signature is None else signature.digest.sha256,
    )
    return parse_statement(payload, where).predicate


def _place(predicate: object, expected: object, name: str) -> str:
    """Name the part that differs, as deep as both sides have one: `report.headline.refusal`."""
    found, wanted = getattr(predicate, name), getattr(expected, name)
    deeper = [
        part
        for part in getattr(type(found), "model_fields", ())
        if type(found) is type(wanted) and getattr(found, part) != getattr(wanted, part)
    ]
    return f"{name}.{_place(found, wanted, deeper[0])}" if deeper else name
