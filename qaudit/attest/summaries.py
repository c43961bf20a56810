"""The same verdict in words that other tools know: SLSA's verification summary and in-toto's test result.

Both are statements of their own over the same files, signed by the same signer, and never say more
than the audit's: a verification summary means approved, so there is none of a conditional release;
a test result of one says FAILED. Types and keys are those of
https://slsa.dev/spec/v1.1/verification_summary and
https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

import rfc8785

from qaudit.attest.dsse import Authenticator, SignedBy, parse_bundle
from qaudit.attest.layout import BUNDLE_LIMIT, Places, read_regular
from qaudit.attest.predicate import Predicate
from qaudit.attest.statement import STATEMENT_TYPE, Statement
from qaudit.errors import GateFailure, InputError, VerificationFailed
from qaudit.files import sha256_bytes
from qaudit.strict_json import load_strict

# a change of their form must go by `predicate.tool.version`: verifying makes them again to compare
SummaryKind = Literal["vsa", "test-result"]
KINDS: tuple[SummaryKind, ...] = get_args(SummaryKind)
VSA_TYPE = "https://slsa.dev/verification_summary/v1"
TEST_RESULT_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
# consumers pin pairs of signer and verifier; another meaning of QAUDIT_APPROVED is another verifier
VERIFIER_ID = "https://qaudit.dev/verifier/v1"
APPROVED = "QAUDIT_APPROVED"
MAX_URI_LENGTH = 1000
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")


def place_of(kind: SummaryKind, where: Places) -> Path:
    """Return where the bundle of a summary lies."""
    return where.vsa if kind == "vsa" else where.test_result


def refuse_summary(kinds: Collection[SummaryKind], statement: Statement) -> None:
    """Refuse a summary that would say more than the audit does.

    Raises:
        GateFailure: a verification summary is asked of a release that is not approved.
    """
    if "vsa" in kinds and statement.predicate.verdict.decision != "approved":
        raise GateFailure(
            f"a verification summary says {APPROVED}, and the verdict is"
            f" {statement.predicate.verdict.status}; drop --also vsa"
        )


def build_summary(kind: SummaryKind, statement: Statement, bundle_sha256: str, resource_uri: str) -> bytes:
    """Return the RFC 8785 bytes of a summary of an audit statement.

    Args:
        kind: which.
        statement: the audit's.
        bundle_sha256: digest of the bundle file that holds the audit's statement.
        resource_uri: where consumers fetch the release, see `resource_of`.
    """
    predicate = statement.predicate
    if kind == "vsa":
        content, predicate_type = _vsa(predicate, bundle_sha256, resource_uri), VSA_TYPE
    else:
        content, predicate_type = _test_result(predicate), TEST_RESULT_TYPE
    subjects = [subject.model_dump() for subject in statement.subject]
    document: dict[str, Any] = {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": predicate_type,
        "predicate": content,
    }
    return rfc8785.dumps(document)


def resource_of(name: str, statement: Statement, uri: str | None) -> str:
    """Return the URI that a verification summary names the release by.

    Args:
        name: of the checkpoint's file or folder.
        statement: the audit's.
        uri: what the signer chose; else it is a package URL with the digest of the only file, or that
            of the manifest.

    Raises:
        InputError: it is no URI.
    """
    if uri is None:
        digests = list(statement.digests().values())
        digest = digests[0] if len(digests) == 1 else statement.predicate.manifest.digest.sha256
        # a name that is not UTF-8 is escaped byte by byte, as it lies on the disk
        encoded = quote(name, safe="", errors="surrogateescape")
        return f"pkg:generic/{encoded}?checksum=sha256:{digest}"
    if len(uri) > MAX_URI_LENGTH or _URI.fullmatch(uri) is None:
        raise InputError(f"--resource-uri {uri[:100]!a}: not a URI; give where the release is fetched")
    return uri


def check_summaries(
    where: Places,
    authenticator: Authenticator,
    signed_by: SignedBy,
    statement: Statement,
    bundle: bytes,
) -> tuple[SummaryKind, ...]:
    """Verify the summaries that lie with a bundle, and return which there are.

    Args:
        where: their places.
        authenticator: of the signer that the consumer named.
        signed_by: who signed the audit's statement.
        statement: the audit's, verified.
        bundle: the bytes of its bundle.

    Raises:
        VerificationFailed: one is another signer's, of other files, or says anything but what this
            audit does.
    """
    return tuple(
        kind
        for kind in KINDS
        if _check(kind, place_of(kind, where), authenticator, signed_by, statement, bundle)
    )


def _check(
    kind: SummaryKind,
    place: Path,
    authenticator: Authenticator,
    signed_by: SignedBy,
    statement: Statement,
    bundle: bytes,
) -> bool:
    if not place.exists() and not place.is_symlink():
        return False
    try:
        summary = parse_bundle(read_regular(place, BUNDLE_LIMIT), place)
    except InputError as error:
        raise VerificationFailed(str(error)) from error
    signer = authenticator.authenticate(summary, place)
    if _who(signer) != _who(signed_by):
        raise VerificationFailed(f"{place}: not signed by the signer of the audit; fetch the release again")
    if kind == "vsa" and statement.predicate.verdict.decision != "approved":
        raise VerificationFailed(f"{place}: says {APPROVED} of a release that is not; do not trust it")
    # a summary follows from the audit's statement to the byte, but for the address that the signer chose
    expected = build_summary(kind, statement, sha256_bytes(bundle), _resource(summary.payload, place))
    if summary.payload != expected:
        raise VerificationFailed(
            f"{place}: is not the summary of this audit ({_difference(summary.payload, expected)});"
            " fetch the release again"
        )
    return True


def _vsa(predicate: Predicate, bundle_sha256: str, resource_uri: str) -> dict[str, Any]:
    policy = predicate.policy
    named = "/".join(quote(part, safe="") for part in (policy.name, policy.version))
    return {
        "verifier": {"id": VERIFIER_ID},
        "timeVerified": predicate.timeVerified,
        "resourceUri": resource_uri,
        "policy": {
            "uri": f"https://qaudit.dev/policy/{named}",
            "digest": policy.digest.model_dump(),
        },
        "inputAttestations": [{"digest": {"sha256": bundle_sha256}}],
        "verificationResult": "PASSED",
        "verifiedLevels": [APPROVED],
    }


def _test_result(predicate: Predicate) -> dict[str, Any]:
    verdict = predicate.verdict
    # a rule over every category has one outcome for each; it passed if all of them did. Inconclusive
    # is not a warning: to policy engines a warning passes
    failed = {outcome.rule for outcome in verdict.rules if outcome.status != "pass"}
    passed = {outcome.rule for outcome in verdict.rules} - failed
    suites = [(f"suite {suite.name} {suite.version}", suite.digest) for suite in predicate.suites]
    used = [(f"policy {predicate.policy.name} {predicate.policy.version}", predicate.policy.digest), *suites]
    used.append(("reference checkpoint", predicate.reference.digest))
    return {
        "result": "PASSED" if verdict.decision == "approved" else "FAILED",
        "configuration": [{"name": name, "digest": digest.model_dump()} for name, digest in used],
        "passedTests": sorted(passed),
        "warnedTests": [],
        "failedTests": sorted(failed),
    }


def _resource(payload: bytes, place: Path) -> str:
    """Return the address that a payload names, an empty text if it names none."""
    try:
        document = load_strict(payload)
    except ValueError as error:
        raise VerificationFailed(f"{place}: the signed payload is not JSON ({error})") from error
    predicate = document.get("predicate") if isinstance(document, dict) else None
    uri = predicate.get("resourceUri") if isinstance(predicate, dict) else None
    return uri if isinstance(uri, str) else ""


def _difference(payload: bytes, expected: bytes) -> str:
    """Name the first key that is not as expected; payload is strict JSON by now."""
    found, wanted = load_strict(payload), load_strict(expected)
    if not isinstance(found, dict) or not isinstance(wanted, dict):
        return "not a statement"
    for key in ("_type", "predicateType", "subject"):
        if found.get(key) != wanted[key]:
            return f"another {key}"
    inner, right = found.get("predicate"), wanted["predicate"]
    if isinstance(inner, dict):
        for key in sorted(right):
            if inner.get(key) != right[key]:
                return f"another {key}"
    return "other keys or another spelling"


def _who(signer: SignedBy) -> tuple[str, str, str | None]:
    # the time of signing is another each time
    return signer.mode, signer.identity, signer.issuer
