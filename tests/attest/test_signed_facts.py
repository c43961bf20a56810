"""A signature by the genuine key that says something else than the report and the policy beside it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attest.refusals import check, payload_of, refuse, resign_document
from release_kit import POLICY_TEXT, Release, make_release, sha256

from qaudit.attest.dsse import parse_bundle
from qaudit.attest.manifest import hash_files, list_files
from qaudit.attest.signed_facts import check_facts
from qaudit.attest.statement import parse_statement
from qaudit.errors import QauditError, VerificationFailed

Change = Callable[[dict[str, Any]], object]


def put(*keys: str | int, value: object) -> Change:
    def apply(predicate: Any) -> None:
        for key in keys[:-1]:
            predicate = predicate[key]
        predicate[keys[-1]] = value

    return apply


CHANGES: dict[str, tuple[Change, str]] = {
    "rate": (
        put("report", "headline", "refusal", "candidate", "rate", value=1.0),
        r"report\.headline\.refusal\.candidate\.rate differs",
    ),
    "no headline": (put("report", "headline", value={}), r"report\.headline\.refusal differs"),
    "risk": (put("report", "headline", "rtsi", "risk", value="HIGH"), r"headline\.rtsi\.risk differs"),
    "created": (put("report", "created", value="2026-08-01T11:59:00Z"), r"report\.created differs"),
    "reporting tool": (put("report", "tool", "version", value="9"), r"report\.tool\.version differs"),
    "suite version": (put("suites", 0, "version", value="999"), "suites differs"),
    "suite digest": (put("suites", 0, "digest", "sha256", value="0" * 64), "suites differs"),
    "no suites": (put("suites", value=[]), "suites differs"),
    "policy name": (put("policy", "name", value="default"), r"policy\.name differs"),
    "policy version": (put("policy", "version", value="99"), r"policy\.version differs"),
    "reference": (put("reference", "digest", "sha256", value="f" * 64), r"reference\.digest\.sha256 differs"),
    "checkpoint": (put("checkpoint", "architecture", value="qwen"), r"checkpoint\.architecture differs"),
    "type": (put("quantization", "type", value="Q8_0"), r"quantization\.type differs"),
    "rule": (put("verdict", "rules", 0, "status", value="fail"), r"verdict\.rules differs"),
    "regime": (put("verdict", "regime", value="hidden_danger"), r"verdict\.regime differs"),
    "engine": (put("engine", "device", value="cuda"), r"engine\.device differs"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_signature_that_contradicts_the_report_is_refused(signed: Release, name: str) -> None:
    change, says = CHANGES[name]
    document = payload_of(signed)
    change(document["predicate"])
    resign_document(signed, document)
    refuse(signed, says)


def test_what_only_the_signer_knows_is_the_signers(signed: Release) -> None:
    document = payload_of(signed)
    document["predicate"]["tool"]["version"] = "0.0.1"
    document["predicate"]["notAfter"] = "2026-08-02T00:00:00Z"
    document["predicate"]["quantization"]["quantizer"] = {"name": "llama.cpp", "version": "b1"}
    resign_document(signed, document)
    assert check(signed).audited


def beside(signed: Release, change: Change) -> None:
    """Put another report beside the bundle, and have the genuine key sign its digest."""
    place = signed.checkpoint / ".qaudit" / "report.json"
    report = json.loads(place.read_bytes())
    change(report)
    place.write_text(json.dumps(report))
    document = payload_of(signed)
    document["predicate"]["report"]["digest"]["sha256"] = sha256(place.read_bytes())
    resign_document(signed, document)


def test_a_report_that_fails_beside_a_signature_that_passes(signed: Release) -> None:
    beside(signed, put("verdict", "status", value="fail"))
    says = refuse(signed, r"report\.json: cannot be what was signed")
    assert "\n" not in says


def test_a_file_that_is_no_report(signed: Release) -> None:
    beside(signed, put("schema", value="else"))
    refuse(signed, r"report\.json: cannot be what was signed .*not a qaudit/report/v1 report")


def _checked(signed: Release, change: Change) -> None:
    """Check a report, and a predicate that says the same, without the rest of the gate."""
    report = json.loads(signed.report.read_bytes())
    change(report)
    statement = parse_statement(parse_bundle(signed.bundle.read_bytes(), "b").payload, "b")
    files = hash_files(list_files(signed.checkpoint))
    document = payload_of(signed)
    verdict, suites = report["verdict"], report["suites"]
    document["predicate"]["verdict"]["rules"] = [
        {"rule": row["rule"], "status": row["status"]} for row in verdict["rules"]
    ]
    document["predicate"]["suites"] = [
        {
            "name": row["name"],
            "version": row["version"],
            "digest": {"sha256": row["sha256"]},
            "items": row["items"],
        }
        for row in suites
    ]
    predicate = type(statement.predicate).model_validate_json(json.dumps(document["predicate"]))
    check_facts(json.dumps(report).encode(), Path("report.json"), predicate, files)


def test_approved_with_a_rule_that_fails(signed: Release) -> None:
    _checked(signed, lambda report: None)
    with pytest.raises(VerificationFailed):
        _checked(signed, put("verdict", "rules", 0, "status", value="fail"))


def test_a_suite_that_is_named_twice(signed: Release) -> None:
    with pytest.raises(VerificationFailed):
        _checked(
            signed,
            lambda report: report["suites"].append({**report["suites"][0], "version": "9.0"}),
        )


def test_the_signed_policy_is_called_what_the_signature_calls_it(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    release.policy.write_text(POLICY_TEXT.replace("house", "lodge"))
    report = json.loads(release.report.read_text())
    report["verdict"]["policy"]["sha256"] = sha256(release.policy.read_bytes())
    release.report.write_text(json.dumps(report))
    try:
        release.sign()
    except QauditError:
        # the signer's gate says so already; have the key sign it without that gate
        release.policy.write_text(POLICY_TEXT)
        report["verdict"]["policy"]["sha256"] = sha256(release.policy.read_bytes())
        release.report.write_text(json.dumps(report))
        release.sign()
        place = release.checkpoint / ".qaudit" / "policy.yaml"
        place.write_text(POLICY_TEXT.replace("house", "lodge"))
        digest = sha256(place.read_bytes())
        document = payload_of(release)
        document["predicate"]["policy"]["digest"]["sha256"] = digest
        resign_document(release, document)
        beside(release, put("verdict", "policy", "sha256", value=digest))
    refuse(release, "is the policy 'lodge' version '1', and the signature calls it 'house'")
