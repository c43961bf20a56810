"""X.509 certificates that sign releases: read, held to what a signing certificate is, traced to a root.

The path to the root is built and checked by `cryptography.x509.verification` (RFC 5280: signatures,
validity, path length, name constraints, unknown critical extensions). What that library decides for
web servers is replaced by what a code-signing certificate is. Identities are compared by ourselves,
exactly and by kind.
"""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from qaudit.attest.utc_times import utc_text
from qaudit.errors import InputError
from qaudit.files import read_bounded

CERTIFICATE_LIMIT = 1 << 20  # bytes of a PEM file
DER_LIMIT = 64 << 10
CHAIN_LIMIT = 8  # certificates in a bundle, the signer's own included
CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
# a subject starts with an attribute and "=", which no e-mail address, host name or URI does
_SUBJECT = re.compile(r"[A-Za-z][A-Za-z0-9.-]*=|[0-9]+(\.[0-9]+)+=")


class CertificateRefused(ValueError):
    """A certificate cannot stand behind a signature; says in one line why."""


@dataclass(frozen=True, slots=True)
class CertificateTrust:
    """Whom a consumer trusts in certificate mode: roots, and one signer that they vouch for.

    `identity` is an alternative name (e-mail address, host name or URI) exactly as the certificate
    has it, or the whole subject in RFC 4514 form (`CN=release,O=Example`).
    """

    roots: tuple[Path, ...]
    identity: str


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Read the certificates of a PEM file, in the file's order.

    Raises:
        InputError: the file cannot be read, or holds no certificate or a broken one.
    """
    try:
        with unremarked():
            found = x509.load_pem_x509_certificates(read_bounded(path, CERTIFICATE_LIMIT))
            for certificate in found:
                readable(certificate)
    except (ValueError, x509.InvalidVersion) as error:
        raise InputError(f"{path}: not a certificate in PEM; give the file that the CA made") from error
    return tuple(found)


def read_roots(paths: Iterable[Path]) -> tuple[x509.Certificate, ...]:
    """Read the certificates that a consumer trusts.

    Raises:
        InputError: none is given, one cannot be read, or one is not of a certificate authority.
    """
    roots: list[x509.Certificate] = []
    for path in paths:
        for certificate in read_certificates(path):
            if not _may_issue(certificate):
                raise InputError(
                    f"{path}: {subject(certificate)} is not a certificate authority; give the root that"
                    " the publisher's certificate comes from"
                )
            roots.append(certificate)
    if not roots:
        raise InputError("no root certificate is given; a certificate alone proves nothing")
    return tuple(roots)


@contextmanager
def unremarked() -> Iterator[None]:
    """Keep what cryptography remarks about odd certificates of strangers off the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def readable(certificate: x509.Certificate) -> None:
    """Make cryptography read what it reads only when asked.

    Raises:
        CertificateRefused: extensions, names or dates are malformed.
    """
    try:
        _ = certificate.extensions, certificate.subject, certificate.issuer, certificate.version
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except (ValueError, x509.DuplicateExtension, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise CertificateRefused("a certificate is malformed") from error


def signing_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """Return the public key of a certificate.

    Raises:
        CertificateRefused: not an ECDSA key on a curve that signs releases.
    """
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateRefused("the certificate's public key cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise CertificateRefused("the certificate's key is not ECDSA on P-256, P-384 or P-521")
    return key


def check_signer(certificate: x509.Certificate, *, bare: bool = False) -> None:
    """Check that a certificate is one for signing, and not a certificate authority's.

    Args:
        certificate: the signer's own.
        bare: also take what OMS signers use: no extended key usage when the key usage allows
            signatures, and the mark of an authority when the key usage forbids it to issue.

    Raises:
        CertificateRefused: says what it lacks.
    """
    signing_key(certificate)
    usage, purposes = _key_usage(certificate), _purposes(certificate)
    constraints = _basic_constraints(certificate)
    if constraints is not None and constraints.ca:
        cannot_issue = usage is not None and not usage.key_cert_sign
        if not (bare and cannot_issue):
            raise CertificateRefused("the signer's certificate is a certificate authority's")
    if usage is not None and not usage.digital_signature:
        raise CertificateRefused("the certificate's key usage does not allow signatures")
    if purposes is None:
        if not bare or usage is None:
            raise CertificateRefused("the certificate is not for code signing (extended key usage)")
    elif ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise CertificateRefused("the certificate is not for code signing (extended key usage)")


def trace(
    chain: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    moment: datetime,
    *,
    bare: bool = False,
) -> tuple[x509.Certificate, ...]:
    """Return the path from the signer's certificate to a trusted root, both included.

    Args:
        chain: the signer's certificate first, then candidates for the certificates between.
        roots: certificate authorities that the consumer trusts.
        moment: every certificate of the path must be valid then (UTC).
        bare: see `check_signer`.

    Raises:
        CertificateRefused: there is no such path.
    """
    leaf = chain[0]
    check_signer(leaf, bare=bare)
    for certificate in chain:
        refuse_outside_validity(certificate, moment)
    if leaf in roots:
        # the library would end the path here, and nobody had vouched for the signer
        raise CertificateRefused("the signer's certificate is itself given as a root")
    builder = verification.PolicyBuilder().store(verification.Store(list(roots))).time(moment)
    builder = builder.max_chain_depth(CHAIN_LIMIT).extension_policies(
        ca_policy=_AUTHORITY, ee_policy=verification.ExtensionPolicy.permit_all()
    )
    try:
        path = builder.build_client_verifier().verify(leaf, list(chain[1:])).chain
    except verification.VerificationError as error:
        raise CertificateRefused(_why_no_path(chain, roots, moment, error)) from error
    return tuple(path)


def refuse_outside_validity(certificate: x509.Certificate, moment: datetime) -> None:
    """Refuse a certificate that is not valid at a moment.

    Raises:
        CertificateRefused: says from or until when it is.
    """
    if moment < certificate.not_valid_before_utc:
        begins = utc_text(certificate.not_valid_before_utc)
        raise CertificateRefused(f"the certificate of {subject(certificate)} is not valid before {begins}")
    if moment > certificate.not_valid_after_utc:
        ended = utc_text(certificate.not_valid_after_utc)
        raise CertificateRefused(f"the certificate of {subject(certificate)} ended at {ended}")


def identities(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return every text under which a certificate's holder can be required: names, then the subject."""
    names: list[str] = []
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        for kind in (x509.RFC822Name, x509.DNSName, x509.UniformResourceIdentifier):
            # a name in the form of a subject must not be taken for one
            names += [name for name in found.get_values_for_type(kind) if not _SUBJECT.match(name)]
    own = subject(certificate)
    return (*names, own) if own else tuple(names)


def check_identity(certificate: x509.Certificate, required: str) -> None:
    """Check that a certificate is of the signer whom the consumer requires.

    Raises:
        CertificateRefused: it is somebody else's; says whose.
    """
    if not required:
        raise CertificateRefused("no identity is required, and any signer is no answer")
    found = identities(certificate)
    if required not in found:
        shown = " or ".join(repr(name) for name in found[:4]) or "nobody"
        raise CertificateRefused(f"was signed by {shown}, not by {required!r}")


def subject(certificate: x509.Certificate) -> str:
    """Return a certificate's subject in RFC 4514 form."""
    return certificate.subject.rfc4514_string()


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _purposes(certificate: x509.Certificate) -> x509.ExtendedKeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _basic_constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _may_issue(certificate: x509.Certificate) -> bool:
    constraints, usage = _basic_constraints(certificate), _key_usage(certificate)
    return constraints is not None and constraints.ca and (usage is None or usage.key_cert_sign)


def _check_authority(
    policy: verification.Policy, certificate: x509.Certificate, constraints: x509.BasicConstraints
) -> None:
    if not constraints.ca or not _may_issue(certificate):
        raise ValueError("not a certificate authority")


def _check_authority_purpose(
    policy: verification.Policy, certificate: x509.Certificate, purposes: x509.ExtendedKeyUsage | None
) -> None:
    allowed = (ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if purposes is not None and not any(purpose in purposes for purpose in allowed):
        raise ValueError("not an authority for code signing")


# RFC 5280 6.1.4: authorities are marked so, and what they say of their key is held to
_AUTHORITY = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, _check_authority)
    .may_be_present(x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, _check_authority_purpose)
)


def _why_no_path(
    chain: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    moment: datetime,
    error: verification.VerificationError,
) -> str:
    for root in roots:
        if root.subject == chain[-1].issuer:
            try:
                refuse_outside_validity(root, moment)
            except CertificateRefused as outside:
                return str(outside)
    reason = str(error).removeprefix("validation failed: ").split(" (encountered processing")[0]
    return f"no path from the signer's certificate to a given root ({reason[:200]})"
