"""Keyless bundles that are good in themselves, but by somebody else or over another statement."""

from pathlib import Path

import pytest
from attest.keyless_desk import Desks
from loopback_sigstore.forging import forge
from loopback_sigstore.oidc import SUBJECT
from release_kit import make_release

from qaudit.attest.dsse import parse_bundle
from qaudit.errors import VerificationFailed


@pytest.mark.parametrize(
    "name",
    [SUBJECT + "/", SUBJECT[:-1], SUBJECT.upper(), "*", "https://.*", " " + SUBJECT, "ann@example.com"],
)
def test_only_the_very_identity_passes(desks: Desks, name: str) -> None:
    desk = desks(1, True)
    desk.put(forge(desk.instance, desk.statement))
    with pytest.raises(VerificationFailed, match=r"was signed by 'https://ci\.example\.com/qaudit', not by"):
        desk.gate(name=name)


def test_only_the_very_issuer_passes(desks: Desks) -> None:
    desk = desks(1, True)
    desk.put(forge(desk.instance, desk.statement))
    url = desk.instance.url
    for issuer in (url + "/", url[:-1], "https://oauth2.sigstore.dev/auth", url.replace("http:", "https:")):
        with pytest.raises(VerificationFailed, match="another issuer than"):
            desk.gate(issuer=issuer)


def test_an_address_is_an_identity_only_where_the_issuer_vouches_for_it(desks: Desks) -> None:
    desk = desks(1, True)
    bundle = forge(desk.instance, desk.statement, token=desk.instance.token(email="ann@example.com"))
    desk.put(bundle)
    assert desk.gate(name="ann@example.com").signed_by.identity == "ann@example.com"
    # a URI that reads like the address is another kind of name
    stranger = forge(desk.instance, desk.statement, token=desk.instance.token("mailto:ann@example.com"))
    desk.put(stranger)
    with pytest.raises(VerificationFailed, match="was signed by"):
        desk.gate(name="ann@example.com")


@pytest.mark.parametrize("predicate_type", [
    "https://qaudit.dev/attestation/audit/v0",
    "https://slsa.dev/verification_summary/v1",
    "https://in-toto.io/attestation/test-result/v0.1",
    "https://slsa.dev/provenance/v1",
])  # fmt: skip
def test_a_downgraded_predicate_is_refused(desks: Desks, predicate_type: str) -> None:
    desk = desks(1, True)
    desk.resign(lambda statement: statement.update(predicateType=predicate_type))
    with pytest.raises(VerificationFailed, match=f"signs '{predicate_type}', not an audit"):
        desk.gate()


def test_a_bare_oms_statement_in_the_audits_place_is_refused(desks: Desks) -> None:
    desk = desks(1, True)
    desk.resign(lambda s: s.update(predicateType="https://model_signing/signature/v1.0"))
    with pytest.raises(VerificationFailed, match="a bare OMS signature lies in the place of the audit's"):
        desk.gate()


def test_another_statement_type_or_payload_type_is_refused(desks: Desks) -> None:
    desk = desks(1, True)
    desk.resign(lambda statement: statement.update(_type="https://in-toto.io/Statement/v0.1"))
    with pytest.raises(VerificationFailed, match="not an audit"):
        desk.gate()
    bundle = forge(desk.instance, desk.statement, payload_type="application/vnd.qaudit+json")
    desk.put(bundle)
    with pytest.raises(VerificationFailed, match="payloadType"):
        desk.gate()


def test_a_statement_that_two_parsers_read_differently_is_refused(desks: Desks) -> None:
    desk = desks(1, True)
    twice = desk.statement.replace(b'{"_type"', b'{"_type":"https://in-toto.io/Statement/v1","_type"')
    desk.put(forge(desk.instance, twice))
    with pytest.raises(VerificationFailed, match="'_type' appears twice"):
        desk.gate()
    desk.put(forge(desk.instance, desk.statement + b" "))
    with pytest.raises(VerificationFailed, match="RFC 8785"):
        desk.gate()


def test_the_bundle_of_another_release_is_refused(desks: Desks, tmp_path: Path) -> None:
    desk = desks(1, True)
    other = make_release(tmp_path)
    (other.checkpoint / "weights.gguf").write_bytes(b"GGUF of another model")
    other = other.audited_again()
    other.sign(now=None)
    theirs = parse_bundle(other.bundle.read_bytes(), "b").payload
    desk.put(forge(desk.instance, theirs))
    with pytest.raises(VerificationFailed, match=r"weights\.gguf: changed"):
        desk.gate()


def test_an_old_report_with_its_old_bundle_is_refused(desks: Desks) -> None:
    """Replay: what was approved once is put back after the files were audited anew and failed."""
    desk = desks(1, True)
    bundle = forge(desk.instance, desk.statement)
    desk.put(bundle)
    desk.gate()
    weights = desk.release.checkpoint / "weights.gguf"
    old = weights.read_bytes()
    weights.write_bytes(old + b"requantized")
    try:
        with pytest.raises(VerificationFailed, match=r"weights\.gguf: changed"):
            desk.gate()
    finally:
        weights.write_bytes(old)
    desk.resign(lambda statement: statement["predicate"].update(notAfter="2026-08-02T00:00:00Z"))
    with pytest.raises(VerificationFailed, match="2026-08-02"):
        desk.gate()
    report = desk.release.bundle.with_name("report.json")
    good = report.read_bytes()
    desk.put(bundle)
    report.write_bytes(good.replace(b"2026-08-01T10", b"2026-07-01T10"))
    try:
        with pytest.raises(VerificationFailed, match="not the report that was signed"):
            desk.gate()
    finally:
        report.write_bytes(good)
