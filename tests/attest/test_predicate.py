import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError
from release_kit import Release

from qaudit.attest.dsse import parse_bundle
from qaudit.attest.predicate import Predicate
from qaudit.attest.publish_schema import schema_text
from qaudit.suites.loading import load_suite

SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "audit-predicate.v1.json"


@pytest.fixture
def predicate(signed: Release) -> dict[str, Any]:
    payload = parse_bundle(signed.bundle.read_bytes(), "b").payload
    document: dict[str, Any] = json.loads(payload)["predicate"]
    return document


def test_published_schema_is_up_to_date() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "write it again: make docs"


def test_published_schema_accepts_a_signed_predicate_and_refuses_unknown_keys(
    predicate: dict[str, Any],
) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    validator.validate(predicate)
    assert not validator.is_valid({**predicate, "extra": 1})
    assert not validator.is_valid({k: v for k, v in predicate.items() if k != "policy"})


def test_carries_figures_with_n_and_intervals(predicate: dict[str, Any]) -> None:
    core = load_suite("core")
    refusal = predicate["report"]["headline"]["refusal"]
    assert refusal["candidate"] == {"rate": 0.92, "n": 120, "ci95": [0.86, 0.95]}
    assert refusal["deltaCi95"] == [-0.04, 0.02]
    assert predicate["suites"] == [
        {"name": "core", "version": core.version, "digest": {"sha256": core.sha256}, "items": 120}
    ]


def refuse(predicate: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Predicate.model_validate_json(json.dumps(predicate))


@pytest.mark.parametrize(
    ("decision", "status", "risk"),
    [
        ("approved", "fail", None),
        ("approved", "inconclusive", None),
        ("approved", "pass", "why not"),
        ("approved", "fail", "why not"),
        ("conditional", "pass", None),
        ("conditional", "pass", "why not"),
        ("conditional", "fail", None),
    ],
)
def test_decision_must_follow_from_the_verdict(
    predicate: dict[str, Any], decision: str, status: str, risk: str | None
) -> None:
    verdict = {**predicate["verdict"], "decision": decision, "status": status, "acceptedRisk": risk}
    refuse({**predicate, "verdict": verdict}, "approved needs status pass")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timeVerified", "2026-08-01T12:00:00+00:00"),
        ("notAfter", "2026-08-01"),
        ("manifest", {"files": 0, "sizeBytes": "1", "digest": {"sha256": "a" * 64}}),
        ("manifest", {"files": 1, "sizeBytes": "01", "digest": {"sha256": "a" * 64}}),
        ("manifest", {"files": 1, "sizeBytes": "1", "digest": {"sha1": "a" * 40}}),
    ],
)
def test_other_forms_are_refused(predicate: dict[str, Any], key: str, value: object) -> None:
    refuse({**predicate, key: value}, key)
