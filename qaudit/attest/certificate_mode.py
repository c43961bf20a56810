"""The certificate mode: a private key signs, its certificate travels, the consumer trusts a root.

The bundle holds the signer's certificate and those between it and the root, as OMS bundles do
(`x509CertificateChain`). Nothing proves the time of signing here, so the chain must be valid when
it is verified; the time that a statement claims is held to it as well, to stop backdating.
"""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import Field, JsonValue, StringConstraints, ValidationError

from qaudit.attest.canonical_base64 import decode_canonical
from qaudit.attest.certificate_chains import (
    CHAIN_LIMIT,
    DER_LIMIT,
    CertificateRefused,
    CertificateTrust,
    check_identity,
    check_signer,
    identities,
    read_certificates,
    read_roots,
    readable,
    refuse_outside_validity,
    signing_key,
    subject,
    trace,
    unremarked,
)
from qaudit.attest.document_parts import ClosedPart, OpenPart
from qaudit.attest.dsse import PAYLOAD_TYPE, Bundle, SignedBy, make_bundle, pae
from qaudit.attest.local_key import CURVE_HASHES, PasswordSource, load_private_key
from qaudit.attest.statement import parse_time
from qaudit.attest.utc_times import utc_text
from qaudit.errors import InputError, VerificationFailed
from qaudit.strict_json import parse_as

__all__ = ["CertificateSealer", "CertificateTrust", "CertificateVerifier", "load_certificate_sealer"]

MODE = "certificate"


class _Certificate(ClosedPart):
    rawBytes: Annotated[str, StringConstraints(max_length=2 * DER_LIMIT)]


class _Chain(ClosedPart):
    certificates: list[_Certificate] = Field(min_length=1, max_length=CHAIN_LIMIT)


class _Material(ClosedPart):
    x509CertificateChain: _Chain
    tlogEntries: list[JsonValue] = Field(default=[], max_length=0)


class _Claim(OpenPart):
    timeVerified: str | None = None


class _Claims(OpenPart):
    predicate: _Claim = _Claim()


class CertificateSealer:
    """Seals statements with a private key and sends its certificates along.

    Args:
        key: the private key.
        chain: the signer's certificate, then those between it and the root.
        now: the time of signing (UTC); by default the clock's.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        chain: Sequence[x509.Certificate],
        now: datetime | None = None,
    ) -> None:
        self._key = key
        self._now = now
        self._chain = tuple(chain)
        self.identities = identities(self._chain[0])

    def seal(self, statement: bytes) -> bytes:
        """Sign statement bytes and return the bytes of a bundle file.

        Raises:
            InputError: a certificate of the chain is not valid now.
        """
        now = (self._now or datetime.now(UTC)).astimezone(UTC)
        for certificate in self._chain:
            try:
                refuse_outside_validity(certificate, now)
            except CertificateRefused as error:
                raise InputError(f"{error}; ask the CA for a new one") from error
        digest = CURVE_HASHES[self._key.curve.name]
        signature = self._key.sign(pae(PAYLOAD_TYPE, statement), ec.ECDSA(digest))
        certificates = [
            {"rawBytes": base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()}
            for certificate in self._chain
        ]
        return make_bundle(
            statement, signature, {"x509CertificateChain": {"certificates": certificates}, "tlogEntries": []}
        )


class CertificateVerifier:
    """Authenticates bundles by a chain to a trusted root and the signer whom the consumer requires.

    Args:
        trust: the roots and the identity.
        now: the time to verify at (UTC); by default the clock's.

    Raises:
        InputError: a root is unusable, or no identity is given.
    """

    def __init__(self, trust: CertificateTrust, now: datetime | None = None) -> None:
        if not trust.identity.strip():
            raise InputError("no identity is given; say whose certificate must have signed")
        self._identity = trust.identity
        self._roots = read_roots(trust.roots)
        self._now = (now or datetime.now(UTC)).astimezone(UTC)

    def authenticate(self, bundle: Bundle, where: object) -> SignedBy:
        """Check chain, identity, signature, and the time that the statement claims.

        Raises:
            VerificationFailed: another mode, no path to a root, another signer, certificates that
                are not of the path, or a signature that is not over these bytes.
        """
        return self._authenticate(bundle, where, bare=False)

    def authenticate_bare(self, bundle: Bundle, where: object) -> SignedBy:
        """Do the same for an OMS signature by others.

        Their chains may hold certificates that no path needs, and their signers' certificates may
        lack what ours must have (see `certificate_chains.check_signer`).

        Raises:
            VerificationFailed: as in `authenticate`.
        """
        return self._authenticate(bundle, where, bare=True)

    def _authenticate(self, bundle: Bundle, where: object, *, bare: bool) -> SignedBy:
        try:
            with unremarked():
                path = self._path(bundle, bare=bare)
                check_identity(path[0], self._identity)
                _check_signature(bundle, path[0])
                _refuse_backdating(path, _claimed_time(bundle.payload))
                issuer = subject(path[-1])
        except CertificateRefused as error:
            raise VerificationFailed(f"{where}: {error}; do not trust the release") from error
        return SignedBy(MODE, self._identity, issuer=issuer)

    def _path(self, bundle: Bundle, *, bare: bool) -> tuple[x509.Certificate, ...]:
        chain = _chain_of(bundle)
        path = trace(chain, self._roots, self._now, bare=bare)
        # the root may be sent along, but nothing else that could change unnoticed
        if not bare and chain not in (path, path[:-1]):
            raise CertificateRefused("holds certificates that are not between the signer and the root")
        return path


def load_certificate_sealer(
    key: Path,
    certificate: Path,
    chain: Sequence[Path],
    password: PasswordSource,
    now: datetime | None = None,
) -> CertificateSealer:
    """Read a private key with its certificates.

    Args:
        key: private key in PEM, plain or encrypted, ECDSA on P-256, P-384 or P-521.
        certificate: PEM; the signer's certificate first, others of the chain may follow.
        chain: PEM files with the certificates between the signer's and the root, in that order; a
            root at the end is left out of the bundle, as consumers have their own.
        password: called only when the key is encrypted.
        now: the time of signing (UTC); by default the clock's.

    Raises:
        InputError: the key is not the certificate's, or a consumer would refuse the certificates.
    """
    private = load_private_key(key, password)
    certificates = [*read_certificates(certificate)]
    for path in chain:
        certificates += read_certificates(path)
    leaf = certificates[0]
    while len(certificates) > 1 and _signs_itself(certificates[-1]):
        certificates.pop()
    try:
        public = signing_key(leaf)
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != public:
            raise CertificateRefused(f"is not the certificate of the key {key}")
        check_signer(leaf)
        if len(certificates) > CHAIN_LIMIT:
            raise CertificateRefused(f"the chain is longer than {CHAIN_LIMIT} certificates")
        _refuse_broken_chain(certificates)
        for one in certificates:
            refuse_outside_validity(one, (now or datetime.now(UTC)).astimezone(UTC))
    except CertificateRefused as error:
        raise InputError(f"{certificate}: {error}; give the signing certificate and its chain") from error
    return CertificateSealer(private, certificates, now)


def _signs_itself(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _refuse_broken_chain(chain: Sequence[x509.Certificate]) -> None:
    for certificate, issuer in pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise CertificateRefused(
                f"the chain is broken: {subject(issuer)} did not issue {subject(certificate)}"
            ) from error


def _chain_of(bundle: Bundle) -> tuple[x509.Certificate, ...]:
    try:
        material = _Material.model_validate(bundle.material)
    except ValidationError as error:
        raise CertificateRefused("was not signed with a certificate chain") from error
    chain: list[x509.Certificate] = []
    for row in material.x509CertificateChain.certificates:
        try:
            der = decode_canonical(row.rawBytes)
            certificate = x509.load_der_x509_certificate(der)
        except (ValueError, x509.InvalidVersion) as error:
            raise CertificateRefused("a certificate is malformed") from error
        readable(certificate)
        # one form for one certificate, so that no byte may change unnoticed
        if certificate.public_bytes(Encoding.DER) != der:
            raise CertificateRefused("a certificate is not in its one right form")
        chain.append(certificate)
    return tuple(chain)


def _check_signature(bundle: Bundle, leaf: x509.Certificate) -> None:
    key = signing_key(leaf)
    message = pae(bundle.payload_type, bundle.payload)
    try:
        key.verify(bundle.signature, message, ec.ECDSA(CURVE_HASHES[key.curve.name]))
    except InvalidSignature as error:
        raise CertificateRefused("the signature does not verify: the bundle was changed") from error


def _claimed_time(payload: bytes) -> datetime | None:
    try:
        text = parse_as(_Claims, payload).predicate.timeVerified
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise CertificateRefused(f"its statement claims no readable time ({error})") from error


def _refuse_backdating(path: Sequence[x509.Certificate], claimed: datetime | None) -> None:
    for certificate in path:
        if claimed is not None and claimed < certificate.not_valid_before_utc:
            raise CertificateRefused(
                f"claims to be signed at {utc_text(claimed)}, before the certificate of"
                f" {subject(certificate)} was valid"
            )
