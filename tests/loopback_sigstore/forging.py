"""Bundles made without the sigstore client, which refuses to make the ones that a gate must refuse.

The services are asked directly, so every knob of `faults` takes effect, and a bundle that nobody bent
verifies. What an attacker changes afterwards is done to the document that comes out.
"""

import base64
import json
from typing import Any

from asn1crypto import tsp
from cryptography.hazmat.primitives.serialization import Encoding
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.keys import new_key, sha256, sign, text64

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def pae(kind: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def forge(
    sigstore: LoopbackSigstore,
    statement: bytes,
    *,
    token: str | None = None,
    payload_type: str = PAYLOAD_TYPE,
    signed: bytes | None = None,
) -> dict[str, Any]:
    """Return a bundle over a statement.

    Args:
        sigstore: the instance; it need not be serving.
        statement: the payload.
        token: who signs; an ordinary identity if left out.
        payload_type: DSSE payload type.
        signed: bytes that are signed and logged in place of the statement's encoding.
    """
    key = new_key()
    certificate = sigstore.fulcio.issue(key.public_key(), sigstore.oidc.claims(token or sigstore.token()))
    message = pae(payload_type, statement) if signed is None else signed
    signature = sign(key, message)
    envelope = {
        "payload": text64(statement),
        "payloadType": payload_type,
        "signatures": [{"sig": text64(signature), "keyid": ""}],
    }
    pem, der = certificate.public_bytes(Encoding.PEM), certificate.public_bytes(Encoding.DER)
    if sigstore.rekor.version == 1:
        entry = _log_v1(sigstore, envelope, pem)
    else:
        entry = _log_v2(sigstore, message, signature, der)
    material: dict[str, Any] = {"certificate": {"rawBytes": text64(der)}, "tlogEntries": [entry]}
    if sigstore.stamps:
        stamp = text64(sigstore.timestamps.answer(stamp_request(signature)))
        material["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": stamp}]}
    return {"mediaType": BUNDLE_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope}


def _log_v1(sigstore: LoopbackSigstore, envelope: dict[str, Any], pem: bytes) -> dict[str, Any]:
    content = {"envelope": json.dumps(envelope), "verifiers": [text64(pem)]}
    proposed = {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": content}}
    _, told = sigstore.rekor.add_v1(json.dumps(proposed).encode())
    checks = told["verification"]
    entry: dict[str, Any] = {
        "logIndex": str(told["logIndex"]),
        "logId": {"keyId": text64(bytes.fromhex(told["logID"]))},
        "kindVersion": {"kind": "dsse", "version": "0.0.1"},
        "integratedTime": str(told["integratedTime"]),
        "canonicalizedBody": told["body"],
    }
    if "signedEntryTimestamp" in checks:
        entry["inclusionPromise"] = {"signedEntryTimestamp": checks["signedEntryTimestamp"]}
    if "inclusionProof" in checks:
        proof = checks["inclusionProof"]
        entry["inclusionProof"] = {
            "logIndex": str(proof["logIndex"]),
            "rootHash": text64(bytes.fromhex(proof["rootHash"])),
            "treeSize": str(proof["treeSize"]),
            "hashes": [text64(bytes.fromhex(digest)) for digest in proof["hashes"]],
        }
        if "checkpoint" in proof:
            entry["inclusionProof"]["checkpoint"] = {"envelope": proof["checkpoint"]}
    return entry


def _log_v2(sigstore: LoopbackSigstore, message: bytes, signature: bytes, der: bytes) -> dict[str, Any]:
    verifier = {"x509Certificate": {"rawBytes": text64(der)}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
    asked = {
        "digest": text64(sha256(message)),
        "signature": {"content": text64(signature), "verifier": verifier},
    }
    return sigstore.rekor.add_v2(json.dumps({"hashedRekordRequestV002": asked}).encode())


def stamp_request(signature: bytes) -> bytes:
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": sha256(signature)}
    request = tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "cert_req": True})
    return bytes(request.dump())


def payload(bundle: dict[str, Any]) -> bytes:
    """Return the payload of a bundle's document."""
    return base64.b64decode(bundle["dsseEnvelope"]["payload"])
