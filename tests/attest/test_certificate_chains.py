from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificate_kit import BEGIN, CODE_SIGNING, END, SIGNER, Holder, authority, usage, write_pem
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from release_kit import NOW

from qaudit.attest.certificate_chains import (
    CertificateRefused,
    check_identity,
    check_signer,
    identities,
    read_certificates,
    read_roots,
    trace,
)
from qaudit.errors import InputError

ROOT = authority()
BETWEEN = ROOT.authority()
LEAF = BETWEEN.issue()


def path_of(*chain: Holder, root: Holder = ROOT, when: datetime = NOW, bare: bool = False) -> list[str]:
    found = trace([holder.certificate for holder in chain], [root.certificate], when, bare=bare)
    return [certificate.subject.rfc4514_string() for certificate in found]


def refuse(says: str, *chain: Holder, root: Holder = ROOT, when: datetime = NOW, bare: bool = False) -> None:
    with pytest.raises(CertificateRefused, match=says):
        path_of(*chain, root=root, when=when, bare=bare)


def test_a_chain_leads_from_the_signer_to_the_root() -> None:
    assert path_of(LEAF, BETWEEN) == [
        "CN=release,O=Example",
        "CN=intermediate,O=Example",
        "CN=root,O=Example",
    ]
    assert path_of(ROOT.issue()) == ["CN=release,O=Example", "CN=root,O=Example"]


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_curves_that_sign(curve: ec.EllipticCurve) -> None:
    assert path_of(ROOT.issue(key=ec.generate_private_key(curve)))


def test_an_rsa_authority_may_vouch() -> None:
    root = authority(key=rsa.generate_private_key(65537, 2048))
    assert path_of(root.issue(), root=root)
    weak = authority(key=rsa.generate_private_key(65537, 1024))  # noqa: S505  (to be refused)
    refuse("no path", weak.issue(), root=weak)


@pytest.mark.parametrize(
    "key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())]
)
def test_other_keys_do_not_sign(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
    refuse("not ECDSA on P-256, P-384 or P-521", ROOT.issue(key=key))


def test_a_missing_link_and_a_foreign_root() -> None:
    refuse("no path from the signer's certificate", LEAF)
    refuse("no path from the signer's certificate", LEAF, BETWEEN, root=authority())
    refuse("no path from the signer's certificate", LEAF, BETWEEN, root=authority("another"))


def test_every_certificate_must_be_valid_at_the_moment() -> None:
    day = timedelta(days=1)
    expired = ROOT.issue(begin=NOW - 2 * day, end=NOW - day)
    refuse("CN=release,O=Example ended at 2026-07-31T12:00:00Z", expired)
    assert path_of(expired, when=NOW - 1.5 * day)
    refuse("CN=release,O=Example is not valid before 2026-08-02T12:00:00Z", ROOT.issue(begin=NOW + day))
    ended = ROOT.authority(end=NOW - day)
    refuse("CN=intermediate,O=Example ended at", ended.issue(), ended)
    root = authority(end=NOW - day)
    refuse("CN=root,O=Example ended at", root.issue(), root=root)


def test_the_signer_is_not_an_authority() -> None:
    refuse("is a certificate authority's", BETWEEN)
    both = ROOT.issue(authority=True, key_usage=usage(sign=True, issue=True))
    refuse("is a certificate authority's", both)
    refuse("is a certificate authority's", both, bare=True)
    unlimited = ROOT.issue(authority=True, key_usage=None)
    refuse("is a certificate authority's", unlimited, bare=True)


def test_an_authority_that_may_not_issue_signs_bare_signatures_only() -> None:
    # what the OMS project's own test certificates look like
    odd = ROOT.issue(authority=True, key_usage=usage(sign=True, issue=False))
    refuse("is a certificate authority's", odd)
    assert path_of(odd, bare=True)


def test_the_root_itself_does_not_sign() -> None:
    refuse("is a certificate authority's", ROOT)
    alone = authority(
        "alone", purposes=[CODE_SIGNING], authority=False, key_usage=usage(sign=True, issue=False)
    )
    refuse("itself given as a root", alone, root=alone)


def test_an_authority_below_must_be_one() -> None:
    plain = ROOT.issue("plain")
    refuse("no path", plain.issue(), plain)
    forbidden = ROOT.authority(key_usage=usage(sign=True, issue=False))
    refuse("no path", forbidden.issue(), forbidden)
    other = ROOT.authority(purposes=[ExtendedKeyUsageOID.SERVER_AUTH])
    refuse("no path", other.issue(), other)
    for purposes in ([CODE_SIGNING], [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]):
        fit = ROOT.authority(purposes=purposes)
        assert path_of(fit.issue(), fit)


def test_path_length_is_kept() -> None:
    last = ROOT.authority("last", path_length=0)
    assert path_of(last.issue(), last)
    below = last.authority("below")
    refuse("no path", below.issue(), below, last)


def test_name_constraints_are_kept() -> None:
    only = x509.NameConstraints([x509.DNSName("example.org")], None)
    bound = ROOT.authority(more=[(only, True)])
    assert path_of(bound.issue(names=[x509.DNSName("build.example.org")]), bound)
    refuse("no path", bound.issue(names=[x509.DNSName("build.example.com")]), bound)


def test_an_unknown_critical_extension_is_refused() -> None:
    unknown = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    refuse("no path", ROOT.issue(more=[(unknown, True)]))
    assert path_of(ROOT.issue(more=[(unknown, False)]))
    odd = ROOT.authority(more=[(unknown, True)])
    refuse("no path", odd.issue(), odd)


def test_the_signers_purpose_is_code_signing() -> None:
    for purposes in ([ExtendedKeyUsageOID.SERVER_AUTH], [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]):
        refuse("not for code signing", ROOT.issue(purposes=purposes))
        refuse("not for code signing", ROOT.issue(purposes=purposes), bare=True)
    refuse("not for code signing", ROOT.issue(purposes=None))
    assert path_of(ROOT.issue(purposes=None), bare=True)
    refuse("not for code signing", ROOT.issue(purposes=None, key_usage=None), bare=True)
    refuse("does not allow signatures", ROOT.issue(key_usage=usage(sign=False, issue=False)))
    check_signer(ROOT.issue(key_usage=None).certificate)


def test_identities_are_names_and_the_whole_subject() -> None:
    names = [
        x509.RFC822Name(SIGNER),
        x509.DNSName("build.example.org"),
        x509.UniformResourceIdentifier("https://example.org/ci"),
    ]
    certificate = ROOT.issue(names=names).certificate
    assert identities(certificate) == (
        SIGNER,
        "build.example.org",
        "https://example.org/ci",
        "CN=release,O=Example",
    )
    for one in identities(certificate):
        check_identity(certificate, one)
    assert identities(ROOT.issue(names=()).certificate) == ("CN=release,O=Example",)


@pytest.mark.parametrize(
    "required",
    ["", "release", "Release@example.org", "example.org", "CN=release", "O=Example,CN=release", " "],
)
def test_identities_match_whole_and_exactly(required: str) -> None:
    with pytest.raises(CertificateRefused, match=r"was signed by 'release@example\.org' or|any signer"):
        check_identity(LEAF.certificate, required)


def test_a_name_in_the_form_of_a_subject_is_not_taken_for_one() -> None:
    sly = ROOT.issue("other", names=[x509.UniformResourceIdentifier("CN=release,O=Example")])
    with pytest.raises(CertificateRefused, match="was signed by 'CN=other,O=Example'"):
        check_identity(sly.certificate, "CN=release,O=Example")


def test_files_are_read_with_every_certificate(tmp_path: Path) -> None:
    both = write_pem(tmp_path / "chain.pem", LEAF.certificate, BETWEEN.certificate)
    assert read_certificates(both) == (LEAF.certificate, BETWEEN.certificate)
    roots = write_pem(tmp_path / "roots.pem", ROOT.certificate)
    assert read_roots([roots]) == (ROOT.certificate,)


def test_unusable_files(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    for data in (b"", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        junk.write_bytes(data)
        with pytest.raises(InputError, match="not a certificate in PEM"):
            read_certificates(junk)
    junk.write_bytes(b" " * (2 << 20))
    with pytest.raises(InputError, match="longer than"):
        read_certificates(junk)
    with pytest.raises(InputError, match="cannot be read"):
        read_certificates(tmp_path / "none")
    with pytest.raises(InputError, match="no root certificate"):
        read_roots([])
    with pytest.raises(InputError, match="CN=release,O=Example is not a certificate authority"):
        read_roots([write_pem(tmp_path / "leaf.pem", LEAF.certificate)])


def test_the_kits_certificates_outlast_the_tests() -> None:
    assert BEGIN < datetime.now(UTC) < END
