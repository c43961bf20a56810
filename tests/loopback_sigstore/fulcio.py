"""The certificate authority: short-lived certificates for whoever shows a token and a key."""

import base64
import json
import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from loopback_sigstore.certificates import Authority, Leaf, leaf_builder, make_authority
from loopback_sigstore.faults import Faults
from loopback_sigstore.keys import new_key, sha256, sign, spki
from loopback_sigstore.oidc import OidcIssuer, Refused

LIFETIME = timedelta(minutes=10)
SCT_LIST = "1.3.6.1.4.1.11129.2.4.2"
# https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
ARC = "1.3.6.1.4.1.57264.1"
HOST = "https://github.com"


class Fulcio:
    """Root, intermediate and certificate transparency log in one.

    Attributes:
        authority: the intermediate that signs.
        ct_key: the key of the certificate transparency log.
    """

    def __init__(self, issuer: OidcIssuer, faults: Faults, clock: Callable[[], datetime]) -> None:
        self._issuer, self._faults, self._clock = issuer, faults, clock
        root = make_authority("root")
        self.authority = make_authority("intermediate", root, usage=ExtendedKeyUsageOID.CODE_SIGNING)
        self.ct_key = new_key()

    def answer(self, body: bytes, authorization: str) -> dict[str, Any]:
        """Answer POST /api/v2/signingCert."""
        claims = self._issuer.claims(authorization.removeprefix("Bearer "))
        asked = json.loads(body)
        if "certificateSigningRequest" in asked:
            request = x509.load_pem_x509_csr(base64.b64decode(asked["certificateSigningRequest"]))
            if not request.is_signature_valid:
                raise Refused("the request is not signed by its own key")
            public_key = request.public_key()
        else:
            public_key = _proven_key(asked["publicKeyRequest"], claims)
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise Refused("only ECDSA keys")
        leaf = self.issue(public_key, claims)
        chain = [c.public_bytes(Encoding.PEM).decode() for c in (leaf, *self.authority.chain)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def issue(self, public_key: ec.EllipticCurvePublicKey, claims: dict[str, Any]) -> x509.Certificate:
        """Return a certificate for checked claims."""
        now = self._clock().replace(microsecond=0)
        leaf = Leaf(
            public_key,
            now,
            now + LIFETIME,
            names=[identity_name(claims)],
            extensions=claim_extensions(claims),
        )
        if self._faults.leaf:
            leaf = self._faults.leaf(leaf)
        builder = leaf_builder(leaf, self.authority)
        if self._faults.scts:
            builder = self._with_scts(builder, leaf.not_before)
        return builder.sign(self.authority.key, hashes.SHA256())

    def _with_scts(self, builder: x509.CertificateBuilder, issued: datetime) -> x509.CertificateBuilder:
        precertificate = builder.sign(self.authority.key, hashes.SHA256()).tbs_certificate_bytes
        scts = [
            _sct(
                self.ct_key, self._faults, self.authority, precertificate, issued + timedelta(milliseconds=i)
            )
            for i in range(self._faults.scts)
        ]
        serialized = _vector(b"".join(_vector(sct) for sct in scts))
        value = core.OctetString(serialized).dump()
        return builder.add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier(SCT_LIST), value), critical=False
        )


def identity_name(claims: dict[str, Any]) -> x509.GeneralName:
    """Return the subject alternative name that Fulcio gives to claims."""
    if "job_workflow_ref" in claims:
        return x509.UniformResourceIdentifier(f"{HOST}/{claims['job_workflow_ref']}")
    if "email" in claims:
        if claims.get("email_verified") is not True:
            raise Refused("the e-mail address is not verified")
        return x509.RFC822Name(claims["email"])
    if not urlsplit(claims["sub"]).scheme:
        raise Refused("the subject is neither a URI nor comes with an e-mail address")
    return x509.UniformResourceIdentifier(claims["sub"])


def claim_extensions(claims: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Return Fulcio's extensions: the first six hold raw text, the later ones DER."""
    old = {1: claims["iss"]}
    new = {8: claims["iss"]}
    if "job_workflow_ref" in claims:
        repository = f"{HOST}/{claims['repository']}"
        run = f"{repository}/actions/runs/{claims['run_id']}/attempts/{claims['run_attempt']}"
        old |= {2: claims["event_name"], 3: claims["sha"], 4: claims["workflow"]}
        old |= {5: claims["repository"], 6: claims["ref"]}
        new |= {9: f"{HOST}/{claims['job_workflow_ref']}", 10: claims["job_workflow_sha"]}
        new |= {11: claims["runner_environment"], 12: repository, 13: claims["sha"], 14: claims["ref"]}
        new |= {15: claims["repository_id"], 16: f"{HOST}/{claims['repository_owner']}"}
        new |= {17: claims["repository_owner_id"], 18: f"{HOST}/{claims['workflow_ref']}"}
        new |= {19: claims["workflow_sha"], 20: claims["event_name"], 21: run}
        new |= {22: claims["repository_visibility"]}
    raw = [(f"{ARC}.{number}", text.encode()) for number, text in old.items()]
    return raw + [(f"{ARC}.{number}", core.UTF8String(text).dump()) for number, text in new.items()]


def _proven_key(asked: dict[str, Any], claims: dict[str, Any]) -> ec.EllipticCurvePublicKey:
    """Return the key of a Go client's request, which signs its subject to show that it holds the key."""
    key = load_pem_public_key(asked["publicKey"]["content"].encode())
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Refused("only ECDSA keys")
    subject = claims.get("email") or claims["sub"]
    key.verify(base64.b64decode(asked["proofOfPossession"]), subject.encode(), ec.ECDSA(hashes.SHA256()))
    return key


def _sct(
    key: ec.EllipticCurvePrivateKey, faults: Faults, authority: Authority, tbs: bytes, at: datetime
) -> bytes:
    """Return a signed certificate timestamp (RFC 6962, section 3.2) over a precertificate."""
    if faults.sct_over:
        tbs = faults.sct_over(tbs)
    milliseconds = int(at.timestamp() * 1000)
    signed = struct.pack("!BBQH", 0, 0, milliseconds, 1) + sha256(spki(authority.key))
    signed += len(tbs).to_bytes(3, "big") + tbs + b"\x00\x00"
    signature = sign(faults.sct_key or key, signed)
    head = b"\x00" + sha256(spki(key)) + struct.pack("!Q", milliseconds) + b"\x00\x00"
    # hash algorithm 4 is SHA-256, signature algorithm 3 is ECDSA
    return head + b"\x04\x03" + _vector(signature)


def _vector(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data
