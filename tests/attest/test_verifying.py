import base64
import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from release_kit import NOW, Release, make_release

from qaudit.attest import Verified, verify
from qaudit.attest.dsse import PAYLOAD_TYPE, parse_bundle
from qaudit.attest.local_key import generate_key, load_signer
from qaudit.attest.verifying import FilesDiffer
from qaudit.errors import InputError, VerificationFailed
from qaudit.files import sha256_bytes


def check(release: Release, **options: Any) -> Verified:
    return verify(release.checkpoint, key=release.public, **{"now": NOW, **options})


def refuse(release: Release, says: str, **options: Any) -> str:
    with pytest.raises(VerificationFailed, match=says) as caught:
        check(release, **options)
    assert str(caught.value).isprintable()
    assert caught.value.exit_code == 1
    return str(caught.value)


def payload_of(release: Release) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(parse_bundle(release.bundle.read_bytes(), "b").payload)
    return document


def resign(release: Release, payload: bytes) -> None:
    """Sign other payload bytes with the genuine key."""
    release.bundle.write_bytes(load_signer(release.key, lambda: "").seal(payload))


def resign_document(release: Release, document: dict[str, Any]) -> None:
    resign(release, rfc8785.dumps(document))


# ---- what passes ----


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_a_signed_release_verifies(tmp_path: Path, single: bool, kind: Any) -> None:
    release = make_release(tmp_path, single=single, kind=kind)
    signed = release.sign()
    verified = check(release)
    assert verified.audited
    assert verified.names == tuple(file.path for file in signed.files)
    assert verified.statement_sha256 == signed.statement_sha256
    assert verified.signed_by.identity == sha256_bytes(release.public.read_bytes())
    assert verified.audit is not None
    assert verified.audit.policy.name == "house"
    assert verified.report is not None
    assert verified.report.read_bytes() == release.report.read_bytes()
    assert (verified.bundle, verified.policy) == (signed.places.bundle, signed.places.policy)


def test_a_release_verifies_after_it_moved_and_with_a_model_sig_beside(
    signed: Release, tmp_path: Path
) -> None:
    (signed.checkpoint / "model.sig").write_text("an OMS signature, verified on its own")
    moved = shutil.copytree(signed.checkpoint, tmp_path / "elsewhere")
    assert check(replace(signed, checkpoint=moved)).audited


def test_the_policy_in_force_must_be_the_signed_one(signed: Release, tmp_path: Path) -> None:
    assert check(signed, policy=signed.policy).audited
    other = tmp_path / "mine.yaml"
    other.write_text("name: mine\nversion: 1\n")
    refuse(signed, "judged by the policy 'house' version 1, not by .*mine.yaml", policy=other)


# ---- files of the checkpoint (SIGNING section 1, tampering) ----


def test_every_changed_missing_extra_and_renamed_file_is_named(signed: Release) -> None:
    folder = signed.checkpoint
    (folder / "weights.gguf").write_bytes(b"GGUF other")
    (folder / "tokenizer" / "vocab.txt").rename(folder / "tokenizer" / "words.txt")
    (folder / "config.json").unlink()
    (folder / "plugin.py").write_text("x")
    with pytest.raises(FilesDiffer) as caught:
        check(signed)
    assert caught.value.problems == (
        "weights.gguf: changed",
        "tokenizer/vocab.txt: renamed to tokenizer/words.txt",
        "config.json: missing",
        "plugin.py: extra",
    )
    assert all(problem in str(caught.value) for problem in caught.value.problems)


def test_a_long_list_of_problems_is_whole_in_the_error_and_short_in_its_line(signed: Release) -> None:
    for number in range(50):
        (signed.checkpoint / f"extra{number:02d}").write_text(str(number))
    with pytest.raises(FilesDiffer, match="and 30 more") as caught:
        check(signed)
    assert len(caught.value.problems) == 50


def write(name: str, data: bytes = b"x") -> Callable[[Path], None]:
    def attack(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return attack


def swap(folder: Path) -> None:
    one, other = folder / "config.json", folder / "weights.gguf"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def link_file(folder: Path) -> None:
    real = folder.parent / "real.json"
    (folder / "config.json").rename(real)
    (folder / "config.json").symlink_to(real)


def link_folder(folder: Path) -> None:
    real = folder.parent / "real"
    (folder / "tokenizer").rename(real)
    (folder / "tokenizer").symlink_to(real, target_is_directory=True)


def rename_as_code(folder: Path) -> None:
    # OMS binds digests in order, so this name keeps the same subject digest there
    (folder / "config.json").rename(folder / "configuration_evil.py")


def change_case(folder: Path) -> None:
    (folder / "config.json").rename(folder / "Config.json")


ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "file under .git": (write(".git/hooks/post-checkout"), ".git/hooks/post-checkout: extra"),
    "file under .github": (write(".github/workflows/x.yml"), "x.yml: extra"),
    ".gitattributes": (write(".gitattributes"), ".gitattributes: extra"),
    ".gitignore": (write(".gitignore"), ".gitignore: extra"),
    "hidden file": (write("tokenizer/.hidden"), "tokenizer/.hidden: extra"),
    "empty file": (write("empty.safetensors", b""), "empty.safetensors: extra"),
    "name with a colon": (write("a:0:4"), "a:0:4: extra"),
    "nested sidecar": (write("tokenizer/.qaudit/report.json"), "extra"),
    "nested model.sig": (write("tokenizer/model.sig"), "tokenizer/model.sig: extra"),
    "stranger in the sidecar": (write(".qaudit/plugin.py"), "plugin.py: not a file that .qaudit may hold"),
    "empty folder": (lambda folder: (folder / "new").mkdir(), "new: an empty folder"),
    "swapped contents": (swap, "config.json: changed; weights.gguf: changed"),
    "renamed file": (rename_as_code, "config.json: renamed to configuration_evil.py"),
    "case-renamed file": (change_case, "config.json: renamed to Config.json"),
    "file behind a link": (link_file, "config.json: a symbolic link"),
    "folder behind a link": (link_folder, "tokenizer: a symbolic link"),
    "truncated": (lambda folder: (folder / "weights.gguf").write_bytes(b"GGUF"), "weights.gguf: changed"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_on_the_tree_are_refused(signed: Release, name: str) -> None:
    attack, says = ATTACKS[name]
    check(signed)
    attack(signed.checkpoint)
    refuse(signed, says)


def test_a_renamed_single_file_is_refused(signed_file: Release) -> None:
    folder = signed_file.checkpoint.parent
    renamed = folder / "other.gguf"
    signed_file.checkpoint.rename(renamed)
    for suffix in ("sigstore.json", "report.json", "policy.yaml"):
        (folder / f"model.gguf.{suffix}").rename(folder / f"other.gguf.{suffix}")
    refuse(replace(signed_file, checkpoint=renamed), "model.gguf: renamed to other.gguf")


def test_the_bundle_of_another_release_is_refused(signed: Release, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    other = replace(make_release(folder), key=signed.key, public=signed.public)
    (other.checkpoint / "weights.gguf").write_bytes(b"GGUF of another model")
    other = other.audited_again()
    other.sign()
    check(other)
    shutil.copytree(other.checkpoint / ".qaudit", signed.checkpoint / ".qaudit", dirs_exist_ok=True)
    refuse(signed, "weights.gguf: changed")


# ---- report, policy, bundle ----


@pytest.mark.parametrize("name", ["report.json", "policy.yaml"])
@pytest.mark.parametrize("single", [False, True])
def test_changed_or_missing_sidecar_is_named(tmp_path: Path, single: bool, name: str) -> None:
    release = make_release(tmp_path, single=single)
    where = release.sign().places
    path = where.report if name == "report.json" else where.policy
    good = path.read_bytes()
    path.write_bytes(good + b" ")
    assert path.name in refuse(release, "that was signed")
    path.unlink()
    assert path.name in refuse(release, "must lie beside the bundle")
    path.symlink_to(release.report)
    assert path.name in refuse(release, "a symbolic link")


def test_an_older_report_under_a_newer_signature_is_refused(signed: Release) -> None:
    old = (signed.checkpoint / ".qaudit" / "report.json").read_bytes()
    newer = json.loads(signed.report.read_text())
    newer["created"] = "2026-08-01T11:00:00Z"
    signed.report.write_text(json.dumps(newer))
    signed.sign()
    (signed.checkpoint / ".qaudit" / "report.json").write_bytes(old)
    refuse(signed, "report.json: not the report that was signed")


def test_taking_the_signature_away(signed: Release) -> None:
    signed.bundle.unlink()
    refuse(signed, "taken away or damaged")
    shutil.rmtree(signed.checkpoint / ".qaudit")
    with pytest.raises(InputError, match="is not signed"):
        check(signed)


def test_a_weaker_signature_never_replaces_the_audit(signed: Release) -> None:
    signed.bundle.unlink()
    (signed.checkpoint / "model.sig").write_text("{}")
    refuse(signed, "taken away or damaged")
    document = payload_of_oms()
    resign_document(signed, document)
    refuse(signed, "bare OMS signature lies in the place of the audit's")


def payload_of_oms() -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": "0" * 64}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {"serialization": {}, "resources": []},
    }


def test_an_extra_signature_is_refused(signed: Release) -> None:
    bundle = json.loads(signed.bundle.read_text())
    bundle["dsseEnvelope"]["signatures"].append({"sig": "AAAA", "keyid": ""})
    signed.bundle.write_text(json.dumps(bundle))
    refuse(signed, "at most 1 item")


def test_duplicate_keys_in_the_bundle_are_refused(signed: Release) -> None:
    text = signed.bundle.read_text()
    signed.bundle.write_text(text.replace('"mediaType"', '"mediaType":"x","mediaType"', 1))
    refuse(signed, "appears twice")


def test_duplicate_keys_in_a_genuinely_signed_payload_are_refused(signed: Release) -> None:
    payload = parse_bundle(signed.bundle.read_bytes(), "b").payload
    resign(signed, payload.replace(b'"decision":', b'"decision":"approved","decision":', 1))
    refuse(signed, "appears twice")


def test_an_edited_payload_under_the_old_signature_is_refused(signed: Release) -> None:
    bundle = json.loads(signed.bundle.read_text())
    document = payload_of(signed)
    document["predicate"]["notAfter"] = "2099-01-01T00:00:00Z"
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(rfc8785.dumps(document)).decode()
    signed.bundle.write_text(json.dumps(bundle))
    refuse(signed, "the signature does not verify")


def test_an_edited_payload_type_is_refused(signed: Release) -> None:
    text = signed.bundle.read_text()
    signed.bundle.write_text(text.replace(PAYLOAD_TYPE, "application/vnd.in-toto+jsom"))
    refuse(signed, "payloadType")


def test_the_wrong_key_is_refused(signed: Release, tmp_path: Path) -> None:
    other = generate_key(tmp_path / "other.pem")
    refuse(replace(signed, public=other), "another key")


def test_an_unsigned_bundle_of_ours_is_refused(signed: Release) -> None:
    """Everything is right but the signature, which another key made under the right key's hint."""
    other = signed.key.with_name("attacker.pem")
    generate_key(other)
    genuine = parse_bundle(signed.bundle.read_bytes(), "b")
    forged = json.loads(load_signer(other, lambda: "").seal(genuine.payload))
    forged["verificationMaterial"] = genuine.material
    signed.bundle.write_text(json.dumps(forged))
    refuse(signed, "the signature does not verify")


@pytest.mark.parametrize(
    "kind",
    [
        "https://slsa.dev/verification_summary/v1",
        "https://in-toto.io/attestation/test-result/v0.1",
        "https://qaudit.dev/attestation/audit/v0",
    ],
)
def test_a_downgraded_predicate_type_is_refused(signed: Release, kind: str) -> None:
    resign_document(signed, {**payload_of(signed), "predicateType": kind})
    refuse(signed, "not an audit")


def test_another_statement_type_is_refused(signed: Release) -> None:
    resign_document(signed, {**payload_of(signed), "_type": "https://in-toto.io/Statement/v0.1"})
    refuse(signed, "not an audit")


@pytest.mark.parametrize("key", ["files", "sizeBytes", "digest"])
def test_a_manifest_that_contradicts_the_subjects_is_refused(signed: Release, key: str) -> None:
    document = payload_of(signed)
    wrong = {"files": 9, "sizeBytes": "9", "digest": {"sha256": "9" * 64}}
    document["predicate"]["manifest"][key] = wrong[key]
    resign_document(signed, document)
    refuse(signed, "manifest contradicts")


def test_a_predicate_without_a_part_or_with_a_stranger_is_refused(signed: Release) -> None:
    for key in payload_of(signed)["predicate"]:
        document = payload_of(signed)
        del document["predicate"][key]
        resign_document(signed, document)
        refuse(signed, rf"predicate\.{key}")
        signed.sign()
    document = payload_of(signed)
    document["predicate"]["waiver"] = True
    resign_document(signed, document)
    refuse(signed, r"predicate\.waiver")


# ---- time, revocation, decision ----


def test_the_approval_ends(signed: Release) -> None:
    check(signed, now=NOW + timedelta(days=365, seconds=-1))
    refuse(signed, "approval ended at 2027-08-01T12:00:00Z", now=NOW + timedelta(days=365))


def test_a_signature_from_the_future_is_refused(signed: Release) -> None:
    check(signed, now=NOW - timedelta(minutes=5))
    refuse(signed, "signed in the future", now=NOW - timedelta(minutes=6))


def test_a_date_that_does_not_exist_is_refused(signed: Release) -> None:
    document = payload_of(signed)
    document["predicate"]["notAfter"] = "2027-02-30T00:00:00Z"
    resign_document(signed, document)
    refuse(signed, "date that does not exist")


def test_a_revoked_statement_is_refused(signed: Release, tmp_path: Path) -> None:
    revoked = tmp_path / "revoked.txt"
    revoked.write_text("0" * 64 + "\n")
    digest = check(signed, revoked=revoked).statement_sha256
    revoked.write_text(f"# leaked\n{digest} key leaked\n")
    refuse(signed, "is revoked", revoked=revoked)
    revoked.write_text(digest[:-1])
    with pytest.raises(InputError, match="line 1"):
        check(signed, revoked=revoked)


def test_an_accepted_risk_needs_the_consumers_consent(release: Release) -> None:
    release.judged("inconclusive").sign(accept_risk="internal test")
    refuse(release, "inconclusive .accepted risk: internal test.*--accept-conditional")
    assert check(release, accept_conditional=True).audited


# ---- usage ----


def test_unusable_input(signed: Release, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        check(replace(signed, checkpoint=tmp_path / "none"))
    with pytest.raises(InputError, match="ignore-paths is for bare OMS"):
        check(signed, ignore_paths=["config.json"])
    with pytest.raises(InputError, match="cannot be read"):
        check(signed, bundle=tmp_path / "none.sigstore.json")
    with pytest.raises(InputError, match="neither a policy file"):
        check(signed, policy="nosuchpolicy")
    with pytest.raises(InputError, match="is a private key"):
        check(replace(signed, public=signed.key))


# ---- single-bit flips over everything that is signed ----


def flip_positions(size: int, rng: random.Random, wanted: int) -> list[tuple[int, int]]:
    """Sampled (byte, bit) pairs: both ends always, the rest spread over the whole length."""
    edges = {0, 1, size - 2, size - 1} & set(range(size))
    inner = {min(size - 1, int((i + rng.random()) * size / wanted)) for i in range(wanted)}
    return [(position, rng.randrange(8)) for position in sorted(edges | inner)]


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_no_single_bit_flip_verifies(tmp_path: Path, single: bool, kind: Any) -> None:
    release = make_release(tmp_path, single=single, kind=kind)
    where = release.sign().places
    targets = [where.bundle, where.report, where.policy]
    targets += [release.checkpoint] if single else [release.checkpoint / n for n in check(release).names]
    rng = random.Random(20260801)
    flips = 0
    for path in targets:
        good = path.read_bytes()
        for position, bit in flip_positions(len(good), rng, 150 if path == where.bundle else 30):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            path.write_bytes(bytes(bad))
            # whoever reads the message learns which file to distrust
            refuse(release, re.escape(path.name))
            flips += 1
        path.write_bytes(good)
    check(release)
    assert flips >= 200


def test_every_bit_of_the_signature_and_hint_counts(signed: Release) -> None:
    good = signed.bundle.read_bytes()
    start = good.index(b'"signatures"')
    for position in range(start, len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            signed.bundle.write_bytes(bytes(bad))
            refuse(signed, "audit.sigstore.json")
