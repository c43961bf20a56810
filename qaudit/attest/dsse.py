"""DSSE envelopes in Sigstore bundles: made exactly, parsed strictly.

The bundle is protobuf-specs v0.3 JSON (https://docs.sigstore.dev/about/bundle/), the envelope is
DSSE (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md). Nothing here decides
whether a signature is good: that is the mode's part (`Sealer`, `Authenticator`).
"""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

import rfc8785
from pydantic import Field, JsonValue

from qaudit.attest.canonical_base64 import decode_canonical
from qaudit.attest.document_parts import ClosedPart
from qaudit.attest.layout import BUNDLE_LIMIT
from qaudit.errors import VerificationFailed
from qaudit.strict_json import parse_as

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A parsed, not yet authenticated bundle; `material` says how it was signed."""

    raw: bytes
    payload: bytes
    payload_type: str
    signature: bytes
    material: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class SignedBy:
    """Who signed: the mode and the identity that it proves (for a key: SHA-256 of its PEM).

    `issuer` is who vouches for the identity; `signed_at` the time that a transparency log or a
    timestamp authority proves. Both are None for a plain key, which proves neither.
    """

    mode: str
    identity: str
    issuer: str | None = None
    signed_at: datetime | None = None


class Sealer(Protocol):
    """A mode's signing half."""

    def seal(self, statement: bytes) -> bytes:
        """Sign statement bytes and return the bytes of a bundle file."""
        ...


class Authenticator(Protocol):
    """A mode's verifying half."""

    def authenticate(self, bundle: Bundle, where: object) -> SignedBy:
        """Return who signed the payload; raise VerificationFailed in every other case."""
        ...


class _Signature(ClosedPart):
    sig: str
    # a hint that nobody signs, and that no mode here needs
    keyid: Literal[""] | None = None


class _Envelope(ClosedPart):
    payload: str
    payloadType: str
    signatures: list[_Signature] = Field(min_length=1, max_length=1)


class _BundleFile(ClosedPart):
    mediaType: str
    verificationMaterial: dict[str, JsonValue]
    dsseEnvelope: _Envelope


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding, the bytes that are actually signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def make_bundle(payload: bytes, signature: bytes, material: dict[str, object]) -> bytes:
    """Return the bytes of a bundle file with one signature.

    RFC 8785 bytes without white space: there is then no byte that may change unnoticed.
    """
    document: dict[str, object] = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return rfc8785.dumps(document)  # type: ignore[arg-type]  # its type is invariant in the values


def parse_bundle(raw: bytes, where: object) -> Bundle:
    """Parse a bundle file strictly.

    Args:
        raw: the file's bytes.
        where: the file's name, for messages.

    Raises:
        VerificationFailed: it is too long, not strict JSON, of another media type, without exactly
            one signature, or has unknown keys or base64 that is not in its one right form.
    """
    if len(raw) > BUNDLE_LIMIT:
        raise VerificationFailed(f"{where}: longer than {BUNDLE_LIMIT} bytes; is it the right file?")
    try:
        wire = parse_as(_BundleFile, raw)
        if wire.mediaType != MEDIA_TYPE:
            raise ValueError(f"mediaType: not {MEDIA_TYPE}")
        if wire.dsseEnvelope.payloadType != PAYLOAD_TYPE:
            raise ValueError(f"dsseEnvelope.payloadType: not {PAYLOAD_TYPE}")
        payload = _exact_base64(wire.dsseEnvelope.payload, "dsseEnvelope.payload")
        signature = _exact_base64(wire.dsseEnvelope.signatures[0].sig, "dsseEnvelope.signatures.0.sig")
    except ValueError as error:
        raise VerificationFailed(
            f"{where}: not a usable signature bundle ({error}); fetch the release again"
        ) from error
    return Bundle(raw, payload, wire.dsseEnvelope.payloadType, signature, wire.verificationMaterial)


def _exact_base64(text: str, key: str) -> bytes:
    try:
        return decode_canonical(text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
