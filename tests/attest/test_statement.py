import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from release_kit import NOW, make_folder_checkpoint, report_for, sha256

from qaudit.attest.audit_facts import AuditFacts, read_audit_facts
from qaudit.attest.manifest import hash_files, list_files, manifest_digest
from qaudit.attest.predicate import Quantization
from qaudit.attest.statement import (
    PREDICATE_TYPE,
    build_statement,
    parse_statement,
    parse_time,
    payload_types,
    statement_digest,
)
from qaudit.errors import VerificationFailed
from qaudit.values import FileDigest


@pytest.fixture
def files(tmp_path: Path) -> tuple[FileDigest, ...]:
    return hash_files(list_files(make_folder_checkpoint(tmp_path)))


@pytest.fixture
def facts(tmp_path: Path, files: tuple[FileDigest, ...]) -> AuditFacts:
    return read_audit_facts(json.dumps(report_for(tmp_path / "model", b"p")).encode(), "r")


@pytest.fixture
def payload(facts: AuditFacts, files: tuple[FileDigest, ...]) -> bytes:
    return build_statement(
        facts,
        tuple(reversed(files)),
        report_sha256="f" * 64,
        quantization=Quantization(type="Q4_K_M"),
        accepted_risk=None,
        verified=NOW,
        not_after=NOW.replace(year=2027),
    )


def test_subjects_are_every_file_sorted(payload: bytes, files: tuple[FileDigest, ...]) -> None:
    document = json.loads(payload)
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://qaudit.dev/attestation/audit/v1"
    assert document["subject"] == [{"name": f.path, "digest": {"sha256": f.sha256}} for f in files]
    assert document["predicate"]["manifest"] == {
        "files": 3,
        "sizeBytes": str(sum(f.size for f in files)),
        "digest": {"sha256": manifest_digest(files)},
    }


def test_bytes_are_rfc8785_and_parse_back(payload: bytes, files: tuple[FileDigest, ...]) -> None:
    assert rfc8785.dumps(json.loads(payload)) == payload
    statement = parse_statement(payload, "b")
    assert statement.digests() == {f.path: f.sha256 for f in files}
    assert statement.predicate.timeVerified == "2026-08-01T12:00:00Z"
    assert statement_digest(payload) == sha256(payload)


def test_a_failed_verdict_is_never_built_as_approved(
    facts: AuditFacts, files: tuple[FileDigest, ...]
) -> None:
    failed = facts.model_copy(update={"verdict": facts.verdict.model_copy(update={"status": "fail"})})
    with pytest.raises(ValueError, match="acceptedRisk"):
        build_statement(
            failed,
            files,
            report_sha256="f" * 64,
            quantization=Quantization(type="Q4_K_M"),
            accepted_risk=None,
            verified=NOW,
            not_after=NOW,
        )


def refuse(payload: bytes, says: str) -> None:
    with pytest.raises(VerificationFailed, match=says) as caught:
        parse_statement(payload, "b")
    assert str(caught.value).isprintable()


def changed(payload: bytes, **change: object) -> bytes:
    document: dict[str, Any] = json.loads(payload)
    document.update(change)
    return rfc8785.dumps(document)


def test_other_types_are_refused(payload: bytes) -> None:
    refuse(changed(payload, _type="https://in-toto.io/Statement/v0.1"), "not an audit")
    refuse(
        changed(payload, predicateType="https://slsa.dev/verification_summary/v1"), "slsa.dev.*not an audit"
    )
    refuse(changed(payload, predicateType=PREDICATE_TYPE + "\u001b"), r"\\x1b")
    refuse(b"[]", "not an in-toto statement")
    refuse(b"\xff", "not an in-toto statement")


def test_unknown_keys_wrong_subjects_and_doubled_names_are_refused(payload: bytes) -> None:
    subject = json.loads(payload)["subject"]
    refuse(changed(payload, more=1), "more")
    refuse(changed(payload, subject=[]), "subject")
    refuse(changed(payload, subject=[*subject, subject[0]]), "appears twice")
    refuse(changed(payload, subject=[{"name": "a", "digest": {"sha512": "0" * 128}}]), "digest")
    refuse(changed(payload, subject=[{"name": "", "digest": {"sha256": "0" * 64}}]), "name")


def test_other_spellings_of_the_same_statement_are_refused(payload: bytes) -> None:
    document = json.loads(payload)
    refuse(json.dumps(document).encode(), "RFC 8785")
    refuse(payload + b"\n", "RFC 8785")
    refuse(payload.replace(b'"n":120', b'"n":120.0', 1), "n: |RFC 8785")
    refuse(payload.replace(b'"_type"', b'"\\u005ftype"', 1), "RFC 8785")


def test_payload_types_reads_any_statement() -> None:
    assert payload_types(b'{"_type": "a", "predicateType": "b", "x": 1}', "b") == ("a", "b")
    with pytest.raises(VerificationFailed, match="appears twice"):
        payload_types(b'{"_type": "a", "predicateType": "b", "predicateType": "c"}', "b")


def test_times() -> None:
    assert parse_time("2026-08-01T12:00:00Z") == datetime(2026, 8, 1, 12, tzinfo=UTC)
    with pytest.raises(ValueError, match=r"day is out of range|unconverted|does not match"):
        parse_time("2026-02-30T12:00:00Z")
