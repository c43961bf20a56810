"""X.509 for the loopback services: authorities, and leaves that a fault may bend before they are signed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from loopback_sigstore.keys import new_key

DECADE = timedelta(days=3650)


@dataclass(frozen=True)
class Authority:
    """A certificate authority; `parent` is None for a root."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    parent: "Authority | None" = None

    @property
    def chain(self) -> list[x509.Certificate]:
        """This certificate and those above it, the root last."""
        return [self.certificate, *(self.parent.chain if self.parent else [])]


@dataclass(frozen=True)
class Leaf:
    """What a leaf certificate is going to say.

    Attributes:
        extensions: (dotted OID, DER or raw value), none of them critical.
    """

    public_key: ec.EllipticCurvePublicKey
    not_before: datetime
    not_after: datetime
    subject: str | None = None
    names: Sequence[x509.GeneralName] = ()
    usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CODE_SIGNING,)
    usages_critical: bool = False
    digital_signature: bool = True
    is_authority: bool = False
    extensions: Sequence[tuple[str, bytes]] = field(default=())


def subject_name(common_name: str | None) -> x509.Name:
    """Return the subject of one of ours, or the empty one that Fulcio gives."""
    if common_name is None:
        return x509.Name([])
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "qaudit-loopback"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def key_usage(*, signs_data: bool, signs_certificates: bool) -> x509.KeyUsage:
    """Return the usages of a leaf or of an authority."""
    return x509.KeyUsage(
        digital_signature=signs_data,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def make_authority(
    common_name: str,
    parent: Authority | None = None,
    *,
    usage: x509.ObjectIdentifier | None = None,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> Authority:
    """Return a fresh authority, signed by `parent` or by itself; valid for decades if not told otherwise."""
    now = datetime.now(UTC).replace(microsecond=0)
    key = new_key()
    issuer = parent.certificate.subject if parent else subject_name(common_name)
    issuer_key = parent.key if parent else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name(common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before or now - DECADE)
        .not_valid_after(not_after or now + DECADE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_usage(signs_data=False, signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return Authority(key, builder.sign(issuer_key, hashes.SHA256()), parent)


def leaf_builder(leaf: Leaf, authority: Authority) -> x509.CertificateBuilder:
    """Return the unsigned certificate, so that SCTs can still be added."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name(leaf.subject))
        .issuer_name(authority.certificate.subject)
        .public_key(leaf.public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(leaf.not_before)
        .not_valid_after(leaf.not_after)
        .add_extension(
            key_usage(signs_data=leaf.digital_signature, signs_certificates=leaf.is_authority), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(leaf.public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
    )
    if leaf.is_authority:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if leaf.usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(leaf.usages)), leaf.usages_critical)
    if leaf.names:
        # RFC 5280: critical when the subject is empty
        builder = builder.add_extension(x509.SubjectAlternativeName(leaf.names), leaf.subject is None)
    for oid, value in leaf.extensions:
        builder = builder.add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical=False
        )
    return builder
