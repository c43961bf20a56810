import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.attest import dsse
from qaudit.attest.dsse import MEDIA_TYPE, PAYLOAD_TYPE, make_bundle, pae, parse_bundle
from qaudit.errors import VerificationFailed

MATERIAL: dict[str, object] = {"publicKey": {"hint": "ab"}, "tlogEntries": []}


def good() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(make_bundle(b'{"a":1}', b"signature", MATERIAL))
    return document


def refuse(document: object, says: str) -> None:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(VerificationFailed, match=says) as caught:
        parse_bundle(raw, "b.json")
    assert str(caught.value).startswith("b.json: ")
    assert str(caught.value).isprintable()


def test_pae_is_the_one_of_the_dsse_protocol() -> None:
    # the example of the specification
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.binary(min_size=1, max_size=200), st.binary(min_size=1, max_size=80))
def test_what_is_made_is_parsed_back(payload: bytes, signature: bytes) -> None:
    bundle = parse_bundle(make_bundle(payload, signature, MATERIAL), "b")
    assert (bundle.payload, bundle.signature, bundle.payload_type) == (payload, signature, PAYLOAD_TYPE)
    assert bundle.material == MATERIAL


def test_the_file_has_no_white_space_that_could_change_unnoticed() -> None:
    assert not set(make_bundle(b"x", b"y", MATERIAL)) & set(b" \t\r\n")


def test_shape_is_that_of_a_sigstore_bundle() -> None:
    assert good() == {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": MATERIAL,
        "dsseEnvelope": {
            "payload": base64.b64encode(b'{"a":1}').decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": base64.b64encode(b"signature").decode(), "keyid": ""}],
        },
    }


@pytest.mark.parametrize("signatures", [[], [{"sig": "AAAA"}, {"sig": "AAAA"}], {}, None])
def test_exactly_one_signature(signatures: object) -> None:
    document = good()
    document["dsseEnvelope"]["signatures"] = signatures
    refuse(document, "signatures")


def test_an_extra_signature_after_or_before_the_good_one_is_refused() -> None:
    document = good()
    (only,) = document["dsseEnvelope"]["signatures"]
    for both in ([only, {"sig": "AAAA", "keyid": ""}], [{"sig": "AAAA", "keyid": ""}, only], [only, only]):
        document["dsseEnvelope"]["signatures"] = both
        refuse(document, "at most 1 item")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mediaType": "application/vnd.dev.sigstore.bundle.v0.2+json"}, "mediaType"),
        ({"messageSignature": {}}, "messageSignature"),
        ({"verificationMaterial": []}, "verificationMaterial"),
        ({"dsseEnvelope": None}, "dsseEnvelope"),
    ],
)
def test_other_shapes_are_refused(change: dict[str, object], says: str) -> None:
    refuse({**good(), **change}, says)


def test_other_payload_types_are_refused() -> None:
    document = good()
    document["dsseEnvelope"]["payloadType"] = "application/json"
    refuse(document, "payloadType")


def test_duplicate_keys_are_refused_at_every_level() -> None:
    text = json.dumps(good())
    for key in ("mediaType", "payload", "sig", "hint"):
        value = text.split(f'"{key}": ')[1].split('"')[1]
        twice = text.replace(f'"{key}": ', f'"{key}": "{value}", "{key}": ', 1)
        refuse(twice.encode(), "appears twice")


@pytest.mark.parametrize("encoded", ["", "AA", "AB==", "AA==\n", "A A=", "____", "AAA=AAAA", "é"])
def test_base64_has_one_form(encoded: str) -> None:
    # "AB==" decodes like "AA==": its unused bits are not zero
    document = good()
    document["dsseEnvelope"]["signatures"][0]["sig"] = encoded
    refuse(document, "base64")


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{", b"\xff", b"[" * 5000, b'{"mediaType": NaN}'])
def test_not_a_bundle_at_all(raw: bytes) -> None:
    refuse(raw, "not a usable signature bundle")


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dsse, "BUNDLE_LIMIT", 50)
    refuse(make_bundle(b"x" * 50, b"y", MATERIAL), "longer than 50 bytes")


@given(st.binary(max_size=120))
def test_hostile_bytes_only_ever_fail_verification(raw: bytes) -> None:
    with pytest.raises(VerificationFailed):
        parse_bundle(raw, "b")
