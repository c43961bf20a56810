from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from qaudit.attest.fulcio_certificate import holder_issuer, holder_names

EMAIL = x509.RFC822Name("ann@example.com")
URI = x509.UniformResourceIdentifier("https://ci.example.com/qaudit")
USERNAME = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")


def utf8(text: str) -> bytes:
    return bytes(core.UTF8String(text).dump())


def certificate(names: list[x509.GeneralName], issuer: bytes | None = None) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(minutes=10))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), True)
    if issuer is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(ISSUER, issuer), False)
    return builder.sign(key, hashes.SHA256())


def test_every_name_is_returned_in_order() -> None:
    user = x509.OtherName(USERNAME, utf8("ann!example.com"))
    found = holder_names(certificate([EMAIL, URI, user]))
    assert found == ("ann@example.com", "https://ci.example.com/qaudit", "ann!example.com")
    assert holder_names(certificate([])) == ()


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName("example.com"),
        x509.DirectoryName(x509.Name([])),
        x509.RegisteredID(USERNAME),
        x509.OtherName(ISSUER, utf8("ann")),
        x509.OtherName(USERNAME, b"\x04\x03ann"),  # an octet string, not text
    ],
)
def test_names_that_are_not_understood_are_not_passed_over(name: x509.GeneralName) -> None:
    with pytest.raises(ValueError, match=r"."):
        holder_names(certificate([EMAIL, name]))


def test_the_issuer_is_the_new_extensions() -> None:
    assert holder_issuer(certificate([URI], utf8("https://issuer.example/a"))) == "https://issuer.example/a"
    assert holder_issuer(certificate([URI])) is None
    with pytest.raises(ValueError, match=r"."):
        holder_issuer(certificate([URI], b"https://issuer.example"))  # as the old extension has it
