import base64
import json
import os
import random
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attest.oms_publisher import Publisher
from certificate_kit import SIGNER, authority, usage, write_pem
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from model_signing import hashing
from release_kit import NOW, POLICY_TEXT, make_file_checkpoint, make_release

import qaudit
from qaudit.attest import verify
from qaudit.attest.certificate_mode import CertificateTrust
from qaudit.attest.files_differ import FilesDiffer
from qaudit.attest.local_key import generate_key
from qaudit.attest.oms_statement import OMS_PREDICATE_TYPE
from qaudit.attest.statement import PREDICATE_TYPE
from qaudit.errors import InputError, VerificationFailed


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


def test_a_bare_signature_verifies_and_carries_no_audit(publisher: Publisher) -> None:
    publisher.sign()
    verified = publisher.check()
    assert not verified.audited
    assert verified.audit is None
    assert verified.names == ("config.json", "tokenizer/vocab.txt", "weights.gguf")
    assert verified.bundle == publisher.signature


def test_an_audit_can_be_required(publisher: Publisher, tmp_path: Path) -> None:
    publisher.sign()
    publisher.refuse("carries no audit, and an audit is required", require_audit=True)
    policy = tmp_path / "p.yaml"
    policy.write_text(POLICY_TEXT)
    publisher.refuse("carries no audit", policy=policy)


def test_it_can_be_revoked(publisher: Publisher, tmp_path: Path) -> None:
    publisher.sign()
    (tmp_path / "revoked").write_text(publisher.check().statement_sha256)
    publisher.refuse("is revoked", revoked=tmp_path / "revoked")


@pytest.mark.parametrize("algorithm", ["sha256", "blake2", "blake3"])
def test_all_hashes(publisher: Publisher, algorithm: Any) -> None:
    publisher.sign(hashing.Config().use_file_serialization(hashing_algorithm=algorithm))
    publisher.check()
    (publisher.model / "weights.gguf").write_bytes(b"GGUF other")
    publisher.refuse("weights.gguf: changed")


def test_shards(publisher: Publisher) -> None:
    publisher.sign(hashing.Config().use_shard_serialization(shard_size=100))
    publisher.check()
    # the library alone lets an added empty file pass in this mode
    (publisher.model / "empty.py").write_bytes(b"")
    publisher.refuse("empty.py: extra")
    (publisher.model / "empty.py").unlink()
    weights = publisher.model / "weights.gguf"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    publisher.refuse("weights.gguf")


def test_the_signature_may_lie_outside(publisher: Publisher, tmp_path: Path) -> None:
    publisher.sign(signature=tmp_path / "out.sig", ignored=())
    publisher.check(bundle=tmp_path / "out.sig")


def test_it_may_lie_inside_under_another_name_when_the_verifier_names_it(publisher: Publisher) -> None:
    publisher.sign(signature=publisher.model / "claims.sig", ignored=("claims.sig",))
    publisher.check(bundle=publisher.model / "claims.sig")


@pytest.mark.parametrize("name", [".git/hooks/x", ".github/workflows/x.yml", ".gitattributes", ".gitignore"])
def test_git_paths_are_not_skipped_unless_the_verifier_says_so(publisher: Publisher, name: str) -> None:
    publisher.sign()
    path = publisher.model / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    publisher.refuse(f"{name}: extra")
    assert name not in publisher.check(ignore_paths=[name.split("/")[0]]).names


def test_signed_git_paths_are_held_to_the_signature(publisher: Publisher) -> None:
    (publisher.model / ".gitattributes").write_text("x")
    publisher.sign(git=False)
    assert ".gitattributes" in publisher.check().names
    (publisher.model / ".gitattributes").write_text("y")
    publisher.refuse(".gitattributes: changed")


@pytest.mark.parametrize("ignored", ["weights.gguf", ".", "tokenizer"])
def test_a_signer_cannot_leave_files_out(publisher: Publisher, ignored: str) -> None:
    try:
        publisher.sign(ignored=("model.sig", ignored))
    except ValueError:
        pytest.skip("the library itself does not sign this")
    publisher.refuse("left .* out of the signature|predicate.resources|missing|extra")
    (publisher.model / "weights.gguf").write_bytes(b"GGUF evil")
    publisher.refuse("left .* out of the signature|predicate.resources|missing|extra")


def test_the_verifier_may_accept_what_the_signer_left_out(publisher: Publisher) -> None:
    publisher.sign(ignored=("model.sig", "config.json"))
    publisher.refuse("left 'config.json' out of the signature")
    assert publisher.check(ignore_paths=["config.json"]).names == ("tokenizer/vocab.txt", "weights.gguf")


@pytest.mark.parametrize("path", ["/etc", "../x", "."])
def test_ignored_paths_lie_inside(publisher: Publisher, path: str) -> None:
    publisher.sign()
    with pytest.raises(InputError, match="inside the checkpoint"):
        publisher.check(ignore_paths=[path])


def test_ignored_paths_do_not_leak_into_the_next_verification(publisher: Publisher, tmp_path: Path) -> None:
    publisher.sign()
    (publisher.model / ".gitignore").write_text("x")
    publisher.check(ignore_paths=[".gitignore"])
    publisher.refuse(".gitignore: extra")


def test_links_are_refused_even_when_the_signer_allowed_them(publisher: Publisher, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "code.py").write_text("x")
    (publisher.model / "linked").symlink_to(real, target_is_directory=True)
    publisher.sign(hashing.Config().set_allow_symlinks(True))
    publisher.refuse("linked: a symbolic link")


def test_added_removed_renamed_and_special_files(publisher: Publisher) -> None:
    publisher.sign()
    config = publisher.model / "config.json"
    config.rename(publisher.model / "a_evil.py")
    publisher.refuse("config.json: missing; a_evil.py: extra")
    (publisher.model / "a_evil.py").rename(config)
    (publisher.model / "void").mkdir()
    publisher.refuse("void: an empty folder")


def test_every_file_that_differs_is_a_problem_of_its_own(publisher: Publisher) -> None:
    publisher.sign()
    (publisher.model / "config.json").unlink()
    for number in range(30):
        (publisher.model / f"extra-{number:02}").write_text("x")
    with pytest.raises(
        FilesDiffer, match="extra-18: extra, not signed; and 11 more; do not load it"
    ) as caught:
        publisher.check()
    assert caught.value.problems == (
        "config.json: missing",
        *(f"extra-{number:02}: extra, not signed" for number in range(30)),
    )
    for file in publisher.model.glob("extra-*"):
        file.unlink()
    (publisher.model / "config.json").write_text("other")
    with pytest.raises(FilesDiffer) as caught:
        publisher.check()
    assert caught.value.problems == ("config.json: changed",)


def test_a_single_file(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    file = make_file_checkpoint(tmp_path)
    publisher.sign(model=file, signature=tmp_path / "model.gguf.sig", ignored=())
    assert verify(file, key=publisher.public, now=NOW).names == ("model.gguf",)
    # the resource is named ".", so only the subject holds the name
    renamed = tmp_path / "evil.gguf"
    shutil.copy(file, renamed)
    with pytest.raises(VerificationFailed, match=r"model\.gguf: missing; evil\.gguf: extra"):
        verify(renamed, key=publisher.public, bundle=tmp_path / "model.gguf.sig", now=NOW)
    with pytest.raises(VerificationFailed, match=r"signs the single file 'model\.gguf', not the folder"):
        verify(publisher.model, key=publisher.public, bundle=tmp_path / "model.gguf.sig", now=NOW)
    file.write_bytes(b"GGUF other")
    with pytest.raises(VerificationFailed, match=r"model\.gguf: changed"):
        verify(file, key=publisher.public, now=NOW)


def test_wrong_and_unsuitable_keys(publisher: Publisher, tmp_path: Path) -> None:
    publisher.sign()
    publisher.public = generate_key(tmp_path / "other.pem")
    publisher.refuse("another key")
    document = json.loads(publisher.signature.read_text())
    del document["verificationMaterial"]["publicKey"]["hint"]
    publisher.signature.write_text(json.dumps(document))
    publisher.refuse("does not verify")
    publisher.public = generate_key(tmp_path / "ed.pem", "ed25519")
    with pytest.raises(InputError, match="ECDSA"):
        publisher.check()


def test_p384_keys_and_old_bundles_without_a_hint(publisher: Publisher, tmp_path: Path, capsys: Any) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    publisher.key = tmp_path / "p384.pem"
    publisher.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    publisher.public = tmp_path / "p384.pub"
    publisher.public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    publisher.sign()
    document = json.loads(publisher.signature.read_text())
    raw = base64.b64encode(publisher.public.read_bytes()).decode()
    for raw_key in ({"rawBytes": raw, "keyDetails": "PKIX_ECDSA_P384_SHA_384"}, {"rawBytes": raw}, {}):
        document["verificationMaterial"] = {"publicKey": raw_key}
        publisher.signature.write_text(json.dumps(document))
        assert not publisher.check().audited
    # nothing of this is needed, but what is there must be right
    for raw_key in ({"rawBytes": "AAAA"}, {"keyDetails": "PKIX_ECDSA_P256_SHA_256"}, {"hint": "0" * 64}):
        document["verificationMaterial"] = {"publicKey": raw_key}
        publisher.signature.write_text(json.dumps(document))
        publisher.refuse("another key")
    document["verificationMaterial"] = {"publicKey": {"more": "x"}}
    publisher.signature.write_text(json.dumps(document))
    publisher.refuse("not signed with a plain key")
    assert capsys.readouterr().out == ""


def test_extra_signatures_duplicate_keys_and_certificates_are_refused(publisher: Publisher) -> None:
    publisher.sign()
    good = publisher.signature.read_text()
    document = json.loads(good)
    document["dsseEnvelope"]["signatures"] *= 2
    publisher.signature.write_text(json.dumps(document))
    publisher.refuse("signatures")
    publisher.signature.write_text(good.replace('"mediaType"', '"mediaType": "x", "mediaType"', 1))
    publisher.refuse("appears twice")
    document = json.loads(good)
    document["verificationMaterial"] = {"x509CertificateChain": {"certificates": []}}
    publisher.signature.write_text(json.dumps(document))
    publisher.refuse("not signed with a plain key")


def test_flipped_bits_of_signature_and_payload(publisher: Publisher) -> None:
    publisher.sign()
    good = publisher.signature.read_bytes()
    document = json.loads(good)
    for text in (document["dsseEnvelope"]["payload"], document["dsseEnvelope"]["signatures"][0]["sig"]):
        start = good.index(text.encode())
        for step in range(0, len(text), max(1, len(text) // 25)):
            bad = bytearray(good)
            bad[start + step] ^= 1 << (step % 7)
            publisher.signature.write_bytes(bytes(bad))
            publisher.refuse("model.sig")


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"end": NOW - DAY}, "ended at 2026-07-31"),
        ({"begin": NOW + DAY}, "not valid before 2026-08-02"),
        ({"authority": True, "key_usage": usage(sign=True, issue=True)}, "certificate authority's"),
        ({"purposes": [ExtendedKeyUsageOID.SERVER_AUTH]}, "not for code signing"),
        ({"names": [x509.RFC822Name("other@example.org")]}, "was signed by 'other@"),
    ],
)
def test_unfit_certificates_are_refused(
    publisher: Publisher, tmp_path: Path, knobs: dict[str, Any], says: str
) -> None:
    root = authority()
    key, certificate = root.issue(**knobs).write(tmp_path, "leaf")
    roots = write_pem(tmp_path / "root.pem", root.certificate)
    publisher.sign_with_certificate(key, certificate, roots)
    trust = CertificateTrust((roots,), SIGNER)
    with pytest.raises(VerificationFailed, match=says):
        verify(publisher.model, certificate=trust, now=NOW)
    key, certificate = root.issue().write(tmp_path, "leaf")
    publisher.sign_with_certificate(key, certificate, roots)
    assert not verify(publisher.model, certificate=trust, now=NOW).audited


def test_no_flipped_bit_of_our_own_oms_signature_passes(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    oms = release.sign().oms
    assert oms is not None
    good = oms.read_bytes()
    verify(release.checkpoint, key=release.public, bundle=oms, ignore_paths=[".qaudit"], now=NOW)
    for bit in random.Random(20260801).sample(range(len(good) * 8), 400):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << (bit % 8)
        oms.write_bytes(bytes(bad))
        with pytest.raises(VerificationFailed):
            verify(release.checkpoint, key=release.public, bundle=oms, ignore_paths=[".qaudit"], now=NOW)
    # of another type it is still no mistake of the verifier's who names paths to leave out
    document = json.loads(good)
    payload = base64.b64decode(document["dsseEnvelope"]["payload"])
    for other in (b"https://model_signing/signature/v1.1", PREDICATE_TYPE.encode()):
        assert payload.count(OMS_PREDICATE_TYPE.encode()) == 1
        changed = base64.b64encode(payload.replace(OMS_PREDICATE_TYPE.encode(), other)).decode()
        envelope = document["dsseEnvelope"] | {"payload": changed}
        oms.write_text(json.dumps(document | {"dsseEnvelope": envelope}))
        with pytest.raises(VerificationFailed):
            verify(release.checkpoint, key=release.public, bundle=oms, ignore_paths=[".qaudit"], now=NOW)


def test_one_part_of_a_split_file_is_not_enough(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    parts = [tmp_path / f"m-0000{n}-of-00002.gguf" for n in (1, 2)]
    for part in parts:
        part.write_bytes(part.name.encode())
    publisher.sign(model=parts[0], signature=tmp_path / "m.sig", ignored=())
    with pytest.raises(VerificationFailed, match="one part of a split file"):
        verify(parts[0], key=publisher.public, bundle=tmp_path / "m.sig", now=NOW)


@pytest.mark.parametrize(("module", "named"), [("model_signing", "model-signing"), ("OpenSSL", "pyopenssl")])
def test_what_is_missing_is_named(publisher: Publisher, module: str, named: str) -> None:
    # the usual signatures are hashed by ourselves, so only others need the library
    publisher.sign(hashing.Config().use_shard_serialization(shard_size=100))
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from qaudit.attest import verify\n"
        "from qaudit.errors import MissingExtra\n"
        f"try:\n    verify({str(publisher.model)!r}, key={str(publisher.public)!r})\n"
        "except MissingExtra as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(qaudit.__file__).parents[1])},
    )
    assert done.stdout.strip() == f"{named} is not installed; run: pip install 'qaudit[sign]'"
