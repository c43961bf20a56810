import base64
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from certificate_kit import SIGNER, Holder, authority, write_pem
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from release_kit import NOW, Release

from qaudit.attest.certificate_mode import (
    CertificateSealer,
    CertificateTrust,
    CertificateVerifier,
    load_certificate_sealer,
)
from qaudit.attest.dsse import SignedBy, parse_bundle
from qaudit.attest.local_key import generate_key, load_signer
from qaudit.attest.verifying import verify
from qaudit.errors import InputError, VerificationFailed

ROOT = authority()
BETWEEN = ROOT.authority()
LEAF = BETWEEN.issue()
STATEMENT = b'{"predicate":{"timeVerified":"2026-08-01T12:00:00Z"}}'


def no_password() -> str:
    raise AssertionError("a plain key needs no password")


def sealer(*chain: Holder, now: Any = NOW) -> CertificateSealer:
    key = chain[0].key
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(key)
    return CertificateSealer(key, [holder.certificate for holder in chain], now)


def trust(folder: Path, *roots: Holder, identity: str = SIGNER) -> CertificateTrust:
    return CertificateTrust(
        (write_pem(folder / "roots.pem", *(root.certificate for root in roots)),), identity
    )


def refuse(folder: Path, raw: bytes, says: str, identity: str = SIGNER, now: Any = NOW) -> None:
    verifier = CertificateVerifier(trust(folder, ROOT, identity=identity), now)
    with pytest.raises(VerificationFailed, match=says):
        verifier.authenticate(parse_bundle(raw, "b"), "b")


def test_sign_and_authenticate(tmp_path: Path) -> None:
    raw = sealer(LEAF, BETWEEN).seal(STATEMENT)
    for identity in (SIGNER, "CN=release,O=Example"):
        verifier = CertificateVerifier(trust(tmp_path, ROOT, identity=identity), NOW)
        signed_by = verifier.authenticate(parse_bundle(raw, "b"), "b")
        assert signed_by == SignedBy("certificate", identity, issuer="CN=root,O=Example")


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_every_curve_signs_with_its_own_digest(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    leaf = BETWEEN.issue(key=ec.generate_private_key(curve))
    raw = sealer(leaf, BETWEEN).seal(STATEMENT)
    verifier = CertificateVerifier(trust(tmp_path, ROOT), NOW)
    assert verifier.authenticate(parse_bundle(raw, "b"), "b").identity == SIGNER


def test_a_release_is_signed_and_verified(release: Release, tmp_path: Path) -> None:
    release.sign_with(sealer(LEAF, BETWEEN))
    verified = verify(release.checkpoint, certificate=trust(tmp_path, ROOT), now=NOW)
    assert verified.audited
    assert verified.signed_by.mode == "certificate"
    with pytest.raises(VerificationFailed, match="not by 'other@"):
        verify(release.checkpoint, certificate=trust(tmp_path, ROOT, identity="other@example.org"), now=NOW)
    with pytest.raises(VerificationFailed, match="not signed with a plain key"):
        verify(release.checkpoint, key=release.public, now=NOW)


def test_another_signer_of_the_same_authority_is_refused(tmp_path: Path) -> None:
    raw = sealer(BETWEEN.issue("other", names=()), BETWEEN).seal(STATEMENT)
    refuse(tmp_path, raw, "was signed by 'CN=other,O=Example', not by 'release@example.org'")


def test_a_certificate_that_has_ended_or_not_begun_is_refused(tmp_path: Path) -> None:
    # model-signing checks the chain at the certificate's own first moment and lets both pass
    short = BETWEEN.issue(begin=NOW - timedelta(days=1), end=NOW + timedelta(days=1))
    raw = sealer(short, BETWEEN).seal(STATEMENT)
    refuse(tmp_path, raw, "ended at", now=NOW + timedelta(days=2))
    refuse(tmp_path, raw, "not valid before", now=NOW - timedelta(days=2))


def test_a_statement_cannot_claim_a_time_before_its_certificate(tmp_path: Path) -> None:
    late = BETWEEN.issue(begin=NOW + timedelta(hours=1))
    raw = sealer(late, BETWEEN, now=NOW + timedelta(hours=2)).seal(STATEMENT)
    refuse(tmp_path, raw, "claims to be signed at 2026-08-01T12:00:00Z", now=NOW + timedelta(hours=2))
    unreadable = sealer(LEAF, BETWEEN).seal(b'{"predicate":{"timeVerified":"yesterday"}}')
    refuse(tmp_path, unreadable, "claims no readable time")


def test_another_root_and_a_missing_link_are_refused(tmp_path: Path) -> None:
    refuse(tmp_path, sealer(LEAF).seal(STATEMENT), "no path")
    stranger = authority()
    refuse(tmp_path, sealer(stranger.issue()).seal(STATEMENT), "no path")
    refuse(tmp_path, sealer(stranger.issue(), stranger).seal(STATEMENT), "no path")


def test_certificates_of_no_use_are_refused_but_the_root_may_be_sent_along(tmp_path: Path) -> None:
    refuse(tmp_path, sealer(LEAF, BETWEEN, authority("idle")).seal(STATEMENT), "not between the signer")
    refuse(tmp_path, sealer(LEAF, BETWEEN, BETWEEN).seal(STATEMENT), "not between the signer")
    raw = sealer(LEAF, BETWEEN, ROOT).seal(STATEMENT)
    assert CertificateVerifier(trust(tmp_path, ROOT), NOW).authenticate(parse_bundle(raw, "b"), "b")
    idle = parse_bundle(sealer(LEAF, authority("idle"), BETWEEN).seal(STATEMENT), "b")
    assert CertificateVerifier(trust(tmp_path, ROOT), NOW).authenticate_bare(idle, "b")


def test_an_exchanged_certificate_payload_or_signature_is_refused(tmp_path: Path) -> None:
    raw = sealer(LEAF, BETWEEN).seal(STATEMENT)
    other = sealer(BETWEEN.issue(), BETWEEN).seal(STATEMENT)
    mine, theirs = json.loads(raw), json.loads(other)
    mine["verificationMaterial"] = theirs["verificationMaterial"]
    refuse(tmp_path, json.dumps(mine).encode(), "signature does not verify")
    mine = json.loads(raw)
    mine["dsseEnvelope"]["payload"] = "e30="
    refuse(tmp_path, json.dumps(mine).encode(), "signature does not verify")


@pytest.mark.parametrize(
    "material",
    [
        {},
        {"publicKey": {"hint": "x"}, "tlogEntries": []},
        {"x509CertificateChain": {"certificates": []}, "tlogEntries": []},
        {"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}] * 9}, "tlogEntries": []},
        {"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}, "tlogEntries": [{}]},
        {"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}, "more": 1},
    ],
)
def test_other_verification_material_is_refused(tmp_path: Path, material: dict[str, Any]) -> None:
    document = json.loads(sealer(LEAF, BETWEEN).seal(STATEMENT))
    document["verificationMaterial"] = material
    refuse(tmp_path, json.dumps(document).encode(), "not signed with a certificate chain")


@given(data=st.data())
def test_any_certificate_bytes_are_refused(tmp_path: Path, data: st.DataObject) -> None:
    document = json.loads(sealer(LEAF, BETWEEN).seal(STATEMENT))
    rows = document["verificationMaterial"]["x509CertificateChain"]["certificates"]
    der = bytearray(base64.b64decode(rows[0]["rawBytes"]))
    start = data.draw(st.integers(0, len(der) - 1))
    der[start : start + data.draw(st.integers(0, 4))] = data.draw(st.binary(min_size=1, max_size=6))
    changed = base64.b64encode(der).decode()
    if changed != rows[0]["rawBytes"]:
        rows[0]["rawBytes"] = changed
        refuse(tmp_path, json.dumps(document).encode(), "b: ")


@pytest.mark.parametrize("text", ["AAAA", "!", "", "MIIB"])
def test_malformed_certificates_are_refused(tmp_path: Path, text: str) -> None:
    document = json.loads(sealer(LEAF, BETWEEN).seal(STATEMENT))
    document["verificationMaterial"]["x509CertificateChain"]["certificates"][0]["rawBytes"] = text
    refuse(tmp_path, json.dumps(document).encode(), "a certificate is malformed")


def test_no_flipped_bit_of_a_bundle_passes(tmp_path: Path) -> None:
    raw = sealer(LEAF, BETWEEN, ROOT).seal(STATEMENT)
    verifier = CertificateVerifier(trust(tmp_path, ROOT), NOW)
    verifier.authenticate(parse_bundle(raw, "b"), "b")
    chosen = random.Random(20260801).sample(range(len(raw) * 8), 600)
    for bit in chosen:
        bad = bytearray(raw)
        bad[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(VerificationFailed):
            verifier.authenticate(parse_bundle(bytes(bad), "b"), "b")


def test_a_key_bundle_is_not_taken_for_a_certificates(tmp_path: Path) -> None:
    generate_key(tmp_path / "k.pem")
    refuse(tmp_path, load_signer(tmp_path / "k.pem", no_password).seal(STATEMENT), "certificate chain")


def test_an_identity_is_always_required(tmp_path: Path) -> None:
    for identity in ("", " "):
        with pytest.raises(InputError, match="no identity is given"):
            CertificateVerifier(trust(tmp_path, ROOT, identity=identity))
    with pytest.raises(InputError, match="no root certificate"):
        CertificateVerifier(CertificateTrust((), SIGNER))


# ---- reading a key with its certificates ----


def test_the_chain_is_read_from_one_file_or_several(tmp_path: Path) -> None:
    key, certificate = LEAF.write(tmp_path, "leaf")
    full = write_pem(tmp_path / "full.pem", LEAF.certificate, BETWEEN.certificate, ROOT.certificate)
    between = write_pem(tmp_path / "between.pem", BETWEEN.certificate)
    verifier = CertificateVerifier(trust(tmp_path, ROOT))
    for first, rest in ((full, []), (certificate, [between])):
        loaded = load_certificate_sealer(key, first, rest, no_password)
        assert loaded.identities == (SIGNER, "CN=release,O=Example")
        raw = loaded.seal(b"{}")
        # consumers have the root; it is not sent
        chain = json.loads(raw)["verificationMaterial"]["x509CertificateChain"]["certificates"]
        assert len(chain) == 2
        verifier.authenticate(parse_bundle(raw, "b"), "b")


def test_an_encrypted_key_opens_with_its_password(tmp_path: Path) -> None:
    _, certificate = LEAF.write(tmp_path, "leaf")
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        LEAF.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    assert load_certificate_sealer(locked, certificate, [], lambda: "open sesame").seal(b"{}")
    with pytest.raises(InputError, match="does not open"):
        load_certificate_sealer(locked, certificate, [], lambda: "wrong")


def test_what_a_consumer_would_refuse_is_not_signed_with(tmp_path: Path) -> None:
    key, certificate = LEAF.write(tmp_path, "leaf")
    other, _ = BETWEEN.issue().write(tmp_path, "other")
    generate_key(tmp_path / "ed.pem", "ed25519")
    for wrong in (other, tmp_path / "ed.pem"):
        with pytest.raises(InputError, match="is not the certificate of the key"):
            load_certificate_sealer(wrong, certificate, [], no_password)
    idle = write_pem(tmp_path / "idle.pem", ROOT.authority("idle").certificate)
    with pytest.raises(InputError, match="CN=idle,O=Example did not issue CN=release,O=Example"):
        load_certificate_sealer(key, certificate, [idle], no_password)
    ca_key, ca = BETWEEN.write(tmp_path, "ca")
    with pytest.raises(InputError, match="is a certificate authority's"):
        load_certificate_sealer(ca_key, ca, [], no_password)
    long = write_pem(tmp_path / "long.pem", *[BETWEEN.certificate] * 9)
    with pytest.raises(InputError, match="longer than 8"):
        load_certificate_sealer(key, certificate, [long], no_password)


def test_an_expired_certificate_does_not_sign(tmp_path: Path) -> None:
    ended = BETWEEN.issue(end=NOW - timedelta(days=1))
    key, certificate = ended.write(tmp_path, "ended")
    with pytest.raises(InputError, match="CN=release,O=Example ended at 2026-07-31"):
        load_certificate_sealer(key, certificate, [], no_password, NOW)
    with pytest.raises(InputError, match=r"ended at .*; ask the CA for a new one"):
        sealer(ended, BETWEEN).seal(STATEMENT)
