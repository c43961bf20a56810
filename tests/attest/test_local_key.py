import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from qaudit.attest.dsse import parse_bundle
from qaudit.attest.local_key import (
    PASSWORD_VARIABLE,
    KeyKind,
    generate_key,
    load_signer,
    load_verifier,
    password_from_environment,
    permission_warning,
)
from qaudit.errors import InputError, OutputProblem, VerificationFailed
from qaudit.files import sha256_bytes

KINDS: tuple[KeyKind, ...] = ("p256", "ed25519")


def no_password() -> str:
    raise AssertionError("a plain key needs no password")


def write_private(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> Path:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


def write_public(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> Path:
    path.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_sign_and_authenticate(tmp_path: Path, kind: KeyKind) -> None:
    public = generate_key(tmp_path / "k.pem", kind)
    assert public == tmp_path / "k.pub.pem"
    bundle = parse_bundle(load_signer(tmp_path / "k.pem", no_password).seal(b"{}"), "b")
    signed_by = load_verifier(public).authenticate(bundle, "b")
    assert (signed_by.mode, signed_by.identity) == ("key", sha256_bytes(public.read_bytes()))


@pytest.mark.parametrize("kind", KINDS)
def test_another_key_is_refused_also_with_a_forged_hint(tmp_path: Path, kind: KeyKind) -> None:
    public = generate_key(tmp_path / "mine.pem", kind)
    other = generate_key(tmp_path / "other.pem", kind)
    raw = load_signer(tmp_path / "mine.pem", no_password).seal(b"{}")
    verifier = load_verifier(other)
    with pytest.raises(VerificationFailed, match="another key"):
        verifier.authenticate(parse_bundle(raw, "b"), "b")
    forged = raw.replace(load_verifier(public).identity.encode(), verifier.identity.encode())
    with pytest.raises(VerificationFailed, match="does not verify"):
        verifier.authenticate(parse_bundle(forged, "b"), "b")


def test_an_ed25519_signature_is_not_taken_for_an_ecdsa_one(tmp_path: Path) -> None:
    generate_key(tmp_path / "ed.pem", "ed25519")
    ecdsa = load_verifier(generate_key(tmp_path / "ec.pem", "p256"))
    edwards = load_verifier(tmp_path / "ed.pub.pem")
    raw = load_signer(tmp_path / "ed.pem", no_password).seal(b"{}")
    forged = raw.replace(edwards.identity.encode(), ecdsa.identity.encode())
    with pytest.raises(VerificationFailed, match="does not verify"):
        ecdsa.authenticate(parse_bundle(forged, "b"), "b")


@pytest.mark.parametrize(
    "material",
    [
        b"{}",
        b'{"certificate":{"rawBytes":"AA=="},"tlogEntries":[]}',
        b'{"publicKey":{"hint":"HINT","rawBytes":"AA=="},"tlogEntries":[]}',
        b'{"publicKey":{"hint":"HINT"},"tlogEntries":[{}]}',
        b'{"publicKey":{"hint":"HINT"},"tlogEntries":[],"timestampVerificationData":{}}',
        b'{"publicKey":{},"tlogEntries":[]}',
    ],
)
def test_other_verification_material_is_refused(tmp_path: Path, material: bytes) -> None:
    verifier = load_verifier(generate_key(tmp_path / "k.pem"))
    raw = load_signer(tmp_path / "k.pem", no_password).seal(b"{}")
    own = b'{"publicKey":{"hint":"%s"},"tlogEntries":[]}' % verifier.identity.encode()
    assert own in raw
    other = raw.replace(own, material.replace(b"HINT", verifier.identity.encode()))
    with pytest.raises(VerificationFailed, match="not signed with a plain key"):
        verifier.authenticate(parse_bundle(other, "b"), "b")


@pytest.mark.parametrize("kind", KINDS)
def test_encrypted_keys_open_with_the_right_password_only(tmp_path: Path, kind: KeyKind) -> None:
    path = tmp_path / "k.pem"
    generate_key(path, kind, "correct horse é")
    assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
    load_signer(path, lambda: "correct horse é").seal(b"{}")
    with pytest.raises(InputError, match="does not open this key") as caught:
        load_signer(path, lambda: "battery staple")
    assert "battery" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(InputError, match="does not open this key"):
        load_signer(path, lambda: "")


def test_keys_that_do_not_sign(tmp_path: Path) -> None:
    for key in (
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 2048),
    ):
        path = write_private(tmp_path / "k.pem", key)
        with pytest.raises(InputError, match="only P-256 and Ed25519 keys sign"):
            load_signer(path, no_password)


def test_keys_that_verify(tmp_path: Path) -> None:
    for curve in (ec.SECP384R1(), ec.SECP521R1()):
        path = write_public(tmp_path / "k.pub", ec.generate_private_key(curve))
        assert load_verifier(path).is_elliptic
    assert not load_verifier(generate_key(tmp_path / "ed.pem", "ed25519")).is_elliptic
    for key in (ec.generate_private_key(ec.SECP256K1()), rsa.generate_private_key(65537, 2048)):
        path = write_public(tmp_path / "k.pub", key)
        with pytest.raises(InputError, match="not an ECDSA"):
            load_verifier(path)


def test_unusable_key_files_and_no_key_material_in_messages(tmp_path: Path) -> None:
    public = generate_key(tmp_path / "k.pem")
    with pytest.raises(InputError, match="not a private key in PEM"):
        load_signer(public, no_password)
    with pytest.raises(InputError, match="is a private key") as caught:
        load_verifier(tmp_path / "k.pem")
    assert (tmp_path / "k.pem").read_text().splitlines()[1] not in str(caught.value)
    junk = tmp_path / "junk"
    junk.write_bytes(b"\xff\x00")
    with pytest.raises(InputError, match="not a public key"):
        load_verifier(junk)
    with pytest.raises(InputError, match="not a private key"):
        load_signer(junk, no_password)
    junk.write_bytes(b"x" * 70_000)
    with pytest.raises(InputError, match="longer than"):
        load_verifier(junk)
    with pytest.raises(InputError, match="cannot be read"):
        load_signer(tmp_path / "none", no_password)


def test_generated_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        public = generate_key(tmp_path / "k.pem")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "k.pem").stat().st_mode) == 0o600
    before = (tmp_path / "k.pem").read_bytes()
    with pytest.raises(OutputProblem, match="never overwritten"):
        generate_key(tmp_path / "k.pem")
    (tmp_path / "k.pem").rename(tmp_path / "away.pem")
    with pytest.raises(OutputProblem, match=r"k\.pub\.pem: exists"):
        generate_key(tmp_path / "k.pem")
    assert (tmp_path / "away.pem").read_bytes() == before
    assert public.exists()
    assert not (tmp_path / "k.pem").exists()
    with pytest.raises(OutputProblem, match="cannot write"):
        generate_key(tmp_path / "no" / "k.pem")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_permission_warning(tmp_path: Path, mode: int, warned: bool) -> None:
    generate_key(tmp_path / "k.pem")
    (tmp_path / "k.pem").chmod(mode)
    warning = permission_warning(tmp_path / "k.pem")
    assert (warning is not None) == warned
    if warning is not None:
        assert f"{mode:04o}" in warning
        assert "chmod 600" in warning


def test_nothing_is_warned_of_what_is_no_private_key(tmp_path: Path) -> None:
    assert permission_warning(tmp_path / "missing.pem") is None
    assert permission_warning(tmp_path) is None
    public = generate_key(tmp_path / "k.pem")
    public.chmod(0o644)
    assert permission_warning(public) is None
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "model.gguf").chmod(0o644)
    assert permission_warning(tmp_path / "model.gguf") is None


def test_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    assert password_from_environment() is None
    monkeypatch.setenv(PASSWORD_VARIABLE, "x")
    assert password_from_environment() == "x"


def test_keys_are_read_by_openssl_names(tmp_path: Path) -> None:
    generate_key(tmp_path / "k.pem", "ed25519")
    key = serialization.load_pem_private_key((tmp_path / "k.pem").read_bytes(), None)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
