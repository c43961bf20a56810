"""OMS statements that a publisher signed by hand: well formed, of an older form, and spoiled."""

import json
from pathlib import Path
from typing import Any

import pytest
from attest.oms_publisher import Publisher
from release_kit import sha256

from qaudit.attest.local_key import load_signer


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


def crafted(publisher: Publisher, **serialization: object) -> dict[str, Any]:
    """A well-formed OMS statement over the publisher's files, to be spoiled and signed by hand."""
    digests = {
        path.relative_to(publisher.model).as_posix(): sha256(path.read_bytes())
        for path in sorted(publisher.model.rglob("*"))
        if path.is_file() and path != publisher.signature
    }
    root = sha256(b"".join(bytes.fromhex(digest) for digest in digests.values()))
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                **serialization,
            },
            "resources": [{"name": n, "algorithm": "sha256", "digest": d} for n, d in digests.items()],
        },
    }


def sign_by_hand(publisher: Publisher, statement: dict[str, Any]) -> None:
    sealed = load_signer(publisher.key, lambda: "").seal(json.dumps(statement).encode())
    publisher.signature.write_bytes(sealed)


def test_genuinely_signed_but_malformed_statements_are_refused(publisher: Publisher) -> None:
    sign_by_hand(publisher, crafted(publisher))
    publisher.check()
    statement = crafted(publisher)
    resources = statement["predicate"]["resources"]
    resources.append(resources[0])
    root = sha256(b"".join(bytes.fromhex(resource["digest"]) for resource in resources))
    statement["subject"][0]["digest"]["sha256"] = root
    sign_by_hand(publisher, statement)
    publisher.refuse("listed twice")
    for wrong in (None, 0, 0.5, -1):
        shards = crafted(publisher, method="shards", shard_size=wrong)
        for resource in shards["predicate"]["resources"]:
            resource["name"] += ":0:9"
        sign_by_hand(publisher, shards)
        publisher.refuse("shard size is not a whole number")
    for wrong_part in ({"hash_type": "md5"}, {"method": "tree"}, {"ignore_paths": ["a", 1]}, {"more": 1}):
        sign_by_hand(publisher, crafted(publisher, **wrong_part))
        publisher.refuse("not a valid OMS statement")
    statement = crafted(publisher)
    statement["subject"][0]["digest"]["sha256"] = "0" * 64
    sign_by_hand(publisher, statement)
    publisher.refuse("subject is not the digest of its resources")


def test_the_form_before_1_0_is_named(publisher: Publisher) -> None:
    sign_by_hand(publisher, {**crafted(publisher), "predicateType": "https://model_signing/Digests/v0.1"})
    publisher.refuse("made by model_signing before 1.0")
