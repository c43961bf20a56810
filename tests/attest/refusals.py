"""Releases that are verified, and ones whose signed statement is another."""

import json
from typing import Any

import pytest
import rfc8785
from release_kit import NOW, Release

from qaudit.attest import Verified, verify
from qaudit.attest.dsse import parse_bundle
from qaudit.attest.local_key import load_signer
from qaudit.errors import VerificationFailed


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
