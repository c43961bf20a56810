"""The transparency log, with the interface of Rekor v1 or of v2."""

import base64
import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from loopback_sigstore.faults import Faults
from loopback_sigstore.keys import SigningKey, new_key, sha256, sign, spki, text64
from loopback_sigstore.merkle import inclusion_path, leaf_hash, root_hash
from loopback_sigstore.oidc import Refused

# a signed note's name must be the host of the log's URL, or Go and JavaScript clients refuse it
HOST = "127.0.0.1"
TREE_ID = 1


@dataclass(frozen=True)
class Entry:
    """An entry in the log, with the proof that it is there."""

    body: bytes
    index: int
    size: int
    root: bytes
    path: list[bytes]
    checkpoint: str


class Rekor:
    """A log that grows by one leaf an entry.

    Attributes:
        version: 1 or 2, the interface that it speaks.
        key: signs checkpoints, and in v1 promises.
    """

    def __init__(
        self,
        version: Literal[1, 2],
        kind: Literal["ecdsa", "ed25519"],
        faults: Faults,
        clock: Callable[[], datetime],
    ) -> None:
        self.version = version
        self.key: SigningKey = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else new_key()
        self._faults, self._clock = faults, clock
        # clients refuse the index 0, which Go's JSON leaves out
        self._leaves = [leaf_hash(b"first")]
        self._lock = threading.Lock()

    @property
    def log_id(self) -> bytes:
        """The log's name: of a signed note for an Ed25519 key, of the key otherwise."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return sha256(HOST.encode() + b"\n\x01" + self.key.public_key().public_bytes_raw())
        return sha256(spki(self.key))

    def add_v1(self, body: bytes) -> tuple[str, dict[str, Any]]:
        """Answer POST /api/v1/log/entries: the entry's name and the entry."""
        proposed = json.loads(body)
        canonical = {"dsse": _dsse_v1, "hashedrekord": _hashedrekord_v1}[proposed["kind"]](proposed)
        entry = self._append(canonical)
        seconds, log_id = int(self._clock().timestamp()), self.log_id.hex()
        promised: dict[str, Any] = {"body": text64(entry.body), "integratedTime": seconds}
        promised |= {"logID": log_id, "logIndex": entry.index}
        proof = {
            "logIndex": entry.index,
            "treeSize": entry.size,
            "rootHash": entry.root.hex(),
            "hashes": [digest.hex() for digest in entry.path],
            "checkpoint": entry.checkpoint,
        }
        promise = text64(self._sign(rfc8785.dumps(promised)))
        told = {**promised, "verification": {"signedEntryTimestamp": promise, "inclusionProof": proof}}
        return secrets.token_hex(32), self._reply(told)

    def add_v2(self, body: bytes) -> dict[str, Any]:
        """Answer POST /api/v2/log/entries."""
        asked = json.loads(body)["hashedRekordRequestV002"]
        digest, signature = base64.b64decode(asked["digest"]), asked["signature"]
        certificate = x509.load_der_x509_certificate(
            base64.b64decode(signature["verifier"]["x509Certificate"]["rawBytes"])
        )
        _check(certificate.public_key(), base64.b64decode(signature["content"]), digest, hashed=True)
        data = {"algorithm": "SHA2_256", "digest": asked["digest"]}
        spec = {"hashedRekordV002": {"data": data, "signature": signature}}
        entry = self._append({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec})
        proof = {
            "logIndex": str(entry.index),
            "treeSize": str(entry.size),
            "rootHash": text64(entry.root),
            "hashes": [text64(digest) for digest in entry.path],
            "checkpoint": {"envelope": entry.checkpoint},
        }
        return self._reply(
            {
                "logIndex": str(entry.index),
                "logId": {"keyId": text64(self.log_id)},
                "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
                "inclusionProof": proof,
                "canonicalizedBody": text64(entry.body),
            }
        )

    def _append(self, entry: dict[str, Any]) -> Entry:
        if self._faults.entry:
            entry = self._faults.entry(entry)
        body = rfc8785.dumps(entry)
        with self._lock:
            self._leaves.append(leaf_hash(body))
            leaves = list(self._leaves)
        index = len(leaves) - 1
        if self._faults.other_tree:
            leaves = [leaf_hash(b"other %d" % number) for number in range(len(leaves))]
        root = root_hash(leaves)
        path = inclusion_path(index, leaves)
        return Entry(body, index, len(leaves), root, path, self._checkpoint(len(leaves), root))

    def _checkpoint(self, size: int, root: bytes) -> str:
        origin = f"{HOST} - {TREE_ID}" if self.version == 1 else HOST
        note = f"{origin}\n{size}\n{text64(root)}\n"
        signed = text64(self.log_id[:4] + self._sign(note.encode()))
        return f"{note}\n\u2014 {HOST} {signed}\n"

    def _sign(self, data: bytes) -> bytes:
        return sign(self._faults.log_key or self.key, data)

    def _reply(self, told: dict[str, Any]) -> dict[str, Any]:
        return self._faults.log_reply(told) if self._faults.log_reply else told


def _dsse_v1(proposed: dict[str, Any]) -> dict[str, Any]:
    content = proposed["spec"]["proposedContent"]
    envelope, verifier = json.loads(content["envelope"]), content["verifiers"][0]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    signatures = [{"signature": each["sig"], "verifier": verifier} for each in envelope["signatures"]]
    for each in signatures:
        _check(_pem_key(verifier), base64.b64decode(each["signature"]), encoded)
    spec = {
        "envelopeHash": {"algorithm": "sha256", "value": sha256(content["envelope"].encode()).hex()},
        "payloadHash": {"algorithm": "sha256", "value": sha256(payload).hex()},
        "signatures": signatures,
    }
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}


def _hashedrekord_v1(proposed: dict[str, Any]) -> dict[str, Any]:
    spec = proposed["spec"]
    signature = base64.b64decode(spec["signature"]["content"])
    digest = bytes.fromhex(spec["data"]["hash"]["value"])
    _check(_pem_key(spec["signature"]["publicKey"]["content"]), signature, digest, hashed=True)
    return {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec}


def _pem_key(text: str) -> object:
    pem = base64.b64decode(text)
    if b"BEGIN CERTIFICATE" in pem:
        return x509.load_pem_x509_certificate(pem).public_key()
    return load_pem_public_key(pem)


def _check(key: object, signature: bytes, data: bytes, *, hashed: bool = False) -> None:
    """A log takes only what verifies; raises InvalidSignature."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Refused("only ECDSA keys")
    key.verify(signature, data, ec.ECDSA(Prehashed(hashes.SHA256()) if hashed else hashes.SHA256()))
