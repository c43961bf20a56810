"""What was signed beside the files: report, policy and bundle, replaced, edited or taken away."""

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from attest.refusals import check, payload_of, refuse, resign, resign_document
from release_kit import Release, make_release

from qaudit.attest.dsse import PAYLOAD_TYPE, parse_bundle
from qaudit.attest.local_key import generate_key, load_signer
from qaudit.errors import InputError


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
    refuse(signed, "model.sig: came with an audit, which is not here")
    (signed.checkpoint / "model.sig").unlink()
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
    good = signed.bundle.read_bytes()
    for key in payload_of(signed)["predicate"].keys() - {"modelSignature", "recount"}:
        document = payload_of(signed)
        del document["predicate"][key]
        resign_document(signed, document)
        refuse(signed, rf"predicate\.{key}")
        signed.bundle.write_bytes(good)
    document = payload_of(signed)
    document["predicate"]["waiver"] = True
    resign_document(signed, document)
    refuse(signed, r"predicate\.waiver")
