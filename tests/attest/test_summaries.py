"""Verification summary and test result: made, checked by others' rules, tampered with."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import rfc8785
from attest.refusals import check, payload_of, refuse
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.predicates.vsa.v1 import vsa_pb2
from release_kit import NOW, Release, make_release, sha256

from qaudit.attest.dsse import pae, parse_bundle
from qaudit.attest.local_key import generate_key, load_signer
from qaudit.attest.summaries import APPROVED, TEST_RESULT_TYPE, VERIFIER_ID, VSA_TYPE, SummaryKind
from qaudit.errors import GateFailure, InputError
from qaudit.suites.loading import load_suite

BOTH: tuple[SummaryKind, ...] = ("vsa", "test-result")
URI = "https://models.example.com/tiny/model.gguf"

# written from the texts of the two predicates' specifications
DIGESTS: dict[str, Any] = {
    "type": "object", "required": ["sha256"], "properties": {"sha256": {"pattern": "^[0-9a-f]{64}$"}},
    "additionalProperties": False,
}  # fmt: skip
VSA_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["verifier", "timeVerified", "resourceUri", "policy", "verificationResult", "verifiedLevels"],
    "properties": {
        "verifier": {"type": "object", "required": ["id"], "properties": {"id": {"pattern": "^https://"}}},
        "timeVerified": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
        "resourceUri": {"type": "string", "pattern": r"^[a-z][a-z0-9+.-]*:\S+$"},
        "policy": {"type": "object", "required": ["uri"], "properties": {"digest": DIGESTS}},
        "inputAttestations": {
            "type": "array", "minItems": 1,
            "items": {"type": "object", "required": ["digest"], "properties": {"digest": DIGESTS}},
        },
        "verificationResult": {"enum": ["PASSED", "FAILED"]},
        "verifiedLevels": {"type": "array", "minItems": 1, "items": {"not": {"pattern": "^SLSA_"}}},
    },
    "additionalProperties": False,
}  # fmt: skip
TEST_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["result", "configuration"],
    "properties": {
        "result": {"enum": ["PASSED", "WARNED", "FAILED"]},
        "configuration": {
            "type": "array", "minItems": 1,
            "items": {
                "type": "object", "required": ["name", "digest"],
                "properties": {"name": {"type": "string"}, "digest": DIGESTS},
                "additionalProperties": False,
            },
        },
        **{key: {"type": "array", "items": {"type": "string"}} for key in ("passedTests", "warnedTests", "failedTests")},
    },
    "additionalProperties": False,
}  # fmt: skip


@pytest.fixture
def both(signed_file: Release) -> Release:
    """A single file, signed with both summaries."""
    signed_file.sign(also=BOTH, resource_uri=URI)
    return signed_file


def place(release: Release, kind: SummaryKind) -> Path:
    if release.checkpoint.is_dir():
        return release.checkpoint / ".qaudit" / f"{kind}.sigstore.json"
    return release.checkpoint.with_name(f"{release.checkpoint.name}.{kind}.sigstore.json")


def statement(release: Release, kind: SummaryKind) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(parse_bundle(place(release, kind).read_bytes(), "b").payload)
    return found


def resign(release: Release, kind: SummaryKind, document: dict[str, Any]) -> None:
    sealed = load_signer(release.key, lambda: "").seal(rfc8785.dumps(document))
    place(release, kind).write_bytes(sealed)


def edited(release: Release, kind: SummaryKind, **changes: Any) -> None:
    """Sign the summary anew with other keys in its predicate."""
    document = statement(release, kind)
    document["predicate"].update(changes)
    resign(release, kind, document)


@pytest.mark.parametrize("single", [False, True])
def test_both_are_made_and_verified_on_request_only(tmp_path: Path, single: bool) -> None:
    release = make_release(tmp_path, single=single)
    assert release.sign().also == ()
    assert check(release).summaries == ()
    assert not place(release, "vsa").exists()
    assert release.sign(also=["test-result", "test-result"]).also == ("test-result",)
    assert check(release).summaries == ("test-result",)
    assert release.sign(also=BOTH).also == BOTH
    assert check(release).summaries == BOTH
    # signing without them takes them away again: they were of the other signature
    release.sign()
    assert check(release).summaries == ()
    assert not place(release, "vsa").exists()


def test_the_verification_summary(both: Release) -> None:
    document = statement(both, "vsa")
    bundle = both.bundle.read_bytes()
    assert rfc8785.dumps(document) == parse_bundle(place(both, "vsa").read_bytes(), "b").payload
    assert document == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": payload_of(both)["subject"],
        "predicateType": "https://slsa.dev/verification_summary/v1",
        "predicate": {
            "verifier": {"id": "https://qaudit.dev/verifier/v1"},
            "timeVerified": "2026-08-01T12:00:00Z",
            "resourceUri": URI,
            "policy": {
                "uri": "https://qaudit.dev/policy/house/1",
                "digest": {"sha256": sha256(both.policy.read_bytes())},
            },
            "inputAttestations": [{"digest": {"sha256": sha256(bundle)}}],
            "verificationResult": "PASSED",
            "verifiedLevels": ["QAUDIT_APPROVED"],
        },
    }


def test_the_test_result(both: Release) -> None:
    core = load_suite("core")
    document = statement(both, "test-result")
    assert document["subject"] == payload_of(both)["subject"]
    assert document["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert document["predicate"] == {
        "result": "PASSED",
        "configuration": [
            {"name": "policy house 1", "digest": {"sha256": sha256(both.policy.read_bytes())}},
            {"name": f"suite core {core.version}", "digest": {"sha256": core.sha256}},
            {"name": "reference checkpoint", "digest": {"sha256": "b" * 64}},
        ],
        "passedTests": ["rtsi"],
        "warnedTests": [],
        "failedTests": [],
    }


def test_they_are_what_the_specifications_and_published_messages_say(both: Release) -> None:
    summary, result = statement(both, "vsa")["predicate"], statement(both, "test-result")["predicate"]
    jsonschema.validate(summary, VSA_SCHEMA)
    jsonschema.validate(result, TEST_SCHEMA)
    # an unknown field would be refused here. in-toto-attestation 0.9.3 has one text for verifiedLevels,
    # where the specification, slsa-verifier and we have a list
    (summary["verifiedLevels"],) = summary["verifiedLevels"]
    parsed = ParseDict(summary, vsa_pb2.VerificationSummary())
    assert (parsed.verifier.id, parsed.verified_levels) == (VERIFIER_ID, APPROVED)
    assert parsed.time_verified.ToDatetime(tzinfo=NOW.tzinfo) == NOW
    told = ParseDict(result, test_result_pb2.TestResult())
    assert (told.result, list(told.passed_tests)) == ("PASSED", ["rtsi"])


def verified_by_slsa_rules(
    release: Release, *, digest: str, verifier: str, resource: str, levels: Sequence[str]
) -> bool:
    """The steps of `slsa-verifier verify-vsa` (read at 9f25bde), written again without our code.

    It takes the bare DSSE envelope, a public key, and what to expect.
    """
    envelope = json.loads(place(release, "vsa").read_text())["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    key = load_pem_public_key(release.public.read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    key.verify(signature, pae(envelope["payloadType"], payload), ec.ECDSA(hashes.SHA256()))
    document = json.loads(payload)
    predicate = document["predicate"]
    return (
        envelope["payloadType"] == "application/vnd.in-toto+json"
        and document["predicateType"] == VSA_TYPE
        and digest in [f"{name}:{value}" for s in document["subject"] for name, value in s["digest"].items()]
        and predicate["verifier"]["id"] == verifier
        and predicate["resourceUri"] == resource
        and predicate["verificationResult"] == "PASSED"
        and set(levels) <= set(predicate["verifiedLevels"])
    )


def test_the_rules_of_slsa_verifier_accept_it_and_refuse_other_expectations(both: Release) -> None:
    right: dict[str, Any] = {
        "digest": f"sha256:{sha256(both.checkpoint.read_bytes())}",
        "verifier": VERIFIER_ID,
        "resource": URI,
        "levels": [APPROVED],
    }
    assert verified_by_slsa_rules(both, **right)
    wrong = {
        "digest": f"sha256:{'0' * 64}",
        "verifier": "x",
        "resource": "x:y",
        "levels": ["SLSA_BUILD_LEVEL_1"],
    }
    for key, value in wrong.items():
        assert not verified_by_slsa_rules(both, **{**right, key: value})


def test_without_an_address_the_release_is_named_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    file = make_release(tmp_path / "one", single=True)
    file.sign(also=["vsa"])
    digest = sha256(file.checkpoint.read_bytes())
    assert statement(file, "vsa")["predicate"]["resourceUri"] == (
        f"pkg:generic/model.gguf?checksum=sha256:{digest}"
    )
    folder = make_release(tmp_path / "many")
    folder.sign(also=["vsa"])
    manifest = payload_of(folder)["predicate"]["manifest"]["digest"]["sha256"]
    assert statement(folder, "vsa")["predicate"]["resourceUri"] == (
        f"pkg:generic/model?checksum=sha256:{manifest}"
    )


@pytest.mark.parametrize(
    "uri", ["", "model.gguf", "https:", "https://a b", "x\n:y", "1:x", "http://ü", "a:" + "x" * 1000]
)
def test_an_address_is_a_uri(release: Release, uri: str) -> None:
    with pytest.raises(InputError, match="--resource-uri"):
        release.sign(also=["vsa"], resource_uri=uri)
    assert not (release.checkpoint / ".qaudit").exists()


@pytest.mark.parametrize("status", ["fail", "inconclusive"])
def test_a_conditional_release_has_no_verification_summary(release: Release, status: str) -> None:
    judged = release.judged(status)
    with pytest.raises(GateFailure, match=f"the verdict is {status}; drop --also vsa"):
        judged.sign(also=BOTH, accept_risk="internal test")
    assert not (release.checkpoint / ".qaudit").exists()
    judged.sign(also=["test-result"], accept_risk="internal test")
    told = statement(judged, "test-result")["predicate"]
    assert (told["result"], told["passedTests"], told["failedTests"]) == ("FAILED", [], ["rtsi"])
    assert check(judged, accept_conditional=True).summaries == ("test-result",)


def test_a_summary_of_the_signer_that_says_more_than_the_audit_is_refused(release: Release) -> None:
    judged = release.judged("fail")
    judged.sign(also=["test-result"], accept_risk="internal test")
    edited(judged, "test-result", result="PASSED")
    refuse(judged, "test-result.*not the summary of this audit .another result", accept_conditional=True)
    # a genuine summary of an approved release, under the conditional one
    release.audited_again().sign(also=["vsa"])
    approved = place(release, "vsa").read_bytes()
    judged.sign(accept_risk="internal test")
    place(judged, "vsa").write_bytes(approved)
    refuse(judged, "vsa.*says QAUDIT_APPROVED of a release that is not", accept_conditional=True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("verificationResult", "FAILED"),
        ("verifiedLevels", [APPROVED, "SLSA_BUILD_LEVEL_3"]),
        ("verifier", {"id": "https://elsewhere.example.com"}),
        ("timeVerified", "2027-08-01T12:00:00Z"),
        ("policy", {"uri": "https://qaudit.dev/policy/strict/9"}),
        ("inputAttestations", []),
        ("resourceUri", 7),
    ],
)
def test_a_verification_summary_that_the_audit_does_not_bear_out_is_refused(
    both: Release, key: str, value: object
) -> None:
    edited(both, "vsa", **{key: value})
    refuse(both, f"vsa.*not the summary of this audit .another {key}")


def test_further_keys_and_another_address(both: Release) -> None:
    edited(both, "vsa", resourceUri="oci://registry.example.com/other")
    assert check(both).summaries == BOTH
    edited(both, "vsa", waiver=True)
    refuse(both, "not the summary of this audit .other keys")


@pytest.mark.parametrize("kind", BOTH)
def test_summaries_of_other_files_and_types_are_refused(both: Release, kind: SummaryKind) -> None:
    document = statement(both, kind)
    resign(both, kind, {**document, "subject": [{"name": "model.gguf", "digest": {"sha256": "0" * 64}}]})
    refuse(both, f"{kind}.*another subject")
    resign(both, kind, {**document, "predicateType": "https://example.com/x"})
    refuse(both, f"{kind}.*another predicateType")
    place(both, kind).write_bytes(both.bundle.read_bytes())
    refuse(both, f"{kind}.*another predicateType")
    for payload in (b"[]", b"\xff", b'{"a":1,"a":2}', b"7"):
        place(both, kind).write_bytes(load_signer(both.key, lambda: "").seal(payload))
        refuse(both, f"{kind}.*(not a statement|not JSON)")


@pytest.mark.parametrize("kind", BOTH)
def test_summaries_of_another_signer_are_refused(both: Release, kind: SummaryKind, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    generate_key(stranger)
    payload = parse_bundle(place(both, kind).read_bytes(), "b").payload
    place(both, kind).write_bytes(load_signer(stranger, lambda: "").seal(payload))
    assert kind in refuse(both, "another key")


def test_a_summary_of_an_earlier_signature_is_refused(both: Release) -> None:
    old = place(both, "vsa").read_bytes()
    both.sign(valid_days=7)
    place(both, "vsa").write_bytes(old)
    refuse(both, "another inputAttestations")


@pytest.mark.parametrize("kind", BOTH)
def test_a_summary_is_a_whole_regular_file(both: Release, kind: SummaryKind, tmp_path: Path) -> None:
    path = place(both, kind)
    good = path.read_bytes()
    for bad in (b"", good[:-1], good + b"}", good.replace(b'"sig":"', b'"sig":"A')):
        path.write_bytes(bad)
        assert path.name in refuse(both, kind)
    moved = path.rename(tmp_path / "moved")
    moved.write_bytes(good)
    path.symlink_to(moved)
    refuse(both, "a symbolic link")
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    refuse(both, "a symbolic link")


def test_types_are_the_published_ones(both: Release) -> None:
    assert statement(both, "vsa")["predicateType"] == VSA_TYPE
    assert statement(both, "test-result")["predicateType"] == TEST_RESULT_TYPE
