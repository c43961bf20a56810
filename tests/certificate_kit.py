"""A certificate authority for tests, with every knob that makes its certificates wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2126, 1, 1, tzinfo=UTC)
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
SIGNER = "release@example.org"

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def usage(*, sign: bool, issue: bool) -> x509.KeyUsage:
    return x509.KeyUsage(sign, False, False, False, False, issue, False, False, False)


def distinguished(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


@dataclass(frozen=True)
class Holder:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: Key

    def issue(
        self,
        name: str = "release",
        *,
        names: Sequence[x509.GeneralName] = (x509.RFC822Name(SIGNER),),
        purposes: Sequence[ObjectIdentifier] | None = (CODE_SIGNING,),
        key_usage: x509.KeyUsage | None = usage(sign=True, issue=False),  # noqa: B008  (immutable)
        authority: bool = False,
        path_length: int | None = None,
        begin: datetime = BEGIN,
        end: datetime = END,
        key: Key | None = None,
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> "Holder":
        """Issue a certificate; `more` are further extensions with their criticality."""
        return make(
            name,
            self,
            names=names,
            purposes=purposes,
            key_usage=key_usage,
            authority=authority,
            path_length=path_length,
            begin=begin,
            end=end,
            key=key,
            more=more,
        )

    def authority(self, name: str = "intermediate", **knobs: object) -> "Holder":
        """Issue an authority below this one."""
        return authority(name, self, **knobs)

    def write(self, folder: Path, stem: str) -> tuple[Path, Path]:
        """Write key and certificate; return their places."""
        key, certificate = folder / f"{stem}.pem", folder / f"{stem}.crt"
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        key.chmod(0o600)
        certificate.write_bytes(pem(self.certificate))
        return key, certificate


def authority(name: str = "root", issuer: Holder | None = None, **knobs: object) -> Holder:
    """Make a certificate authority; without an issuer it is a root."""
    usual: dict[str, object] = {
        "names": (),
        "purposes": None,
        "key_usage": usage(sign=False, issue=True),
        "authority": True,
    }
    return make(name, issuer, **{**usual, **knobs})  # type: ignore[arg-type]  # knobs of make


def make(
    name: str,
    issuer: Holder | None,
    *,
    names: Sequence[x509.GeneralName],
    purposes: Sequence[ObjectIdentifier] | None,
    key_usage: x509.KeyUsage | None,
    authority: bool,
    path_length: int | None = None,
    begin: datetime = BEGIN,
    end: datetime = END,
    key: Key | None = None,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Holder:
    """Make a certificate from its parts."""
    key = key or p256()
    signing = key if issuer is None else issuer.key
    above = distinguished(name) if issuer is None else issuer.certificate.subject
    builder = x509.CertificateBuilder().subject_name(distinguished(name)).issuer_name(above)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(end)
    if authority:
        builder = builder.add_extension(x509.BasicConstraints(True, path_length), critical=True)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    algorithm = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Holder(builder.sign(signing, algorithm), key)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def write_pem(path: Path, *certificates: x509.Certificate) -> Path:
    path.write_bytes(pem(*certificates))
    return path
