"""The timestamp authority: RFC 3161 tokens over digests."""

import secrets
from collections.abc import Callable
from datetime import datetime

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from loopback_sigstore.certificates import DECADE, Leaf, leaf_builder, make_authority
from loopback_sigstore.faults import Faults, Stamp
from loopback_sigstore.keys import new_key, sha256, sign

POLICY = "1.3.6.1.4.1.57264.2"


class TimestampAuthority:
    """A root and a leaf that stamps."""

    def __init__(self, faults: Faults, clock: Callable[[], datetime]) -> None:
        self._faults, self._clock = faults, clock
        self._root = make_authority("timestamp root")
        self._key = new_key()
        now = clock().replace(microsecond=0)
        leaf = Leaf(
            self._key.public_key(),
            now - DECADE,
            now + DECADE,
            subject="timestamp authority",
            usages=[ExtendedKeyUsageOID.TIME_STAMPING],
            usages_critical=True,
        )
        self._leaf = leaf_builder(leaf, self._root).sign(self._root.key, hashes.SHA256())

    @property
    def chain(self) -> list[x509.Certificate]:
        """The stamping certificate and its root."""
        return [self._leaf, self._root.certificate]

    def answer(self, request: bytes) -> bytes:
        """Answer POST /api/v1/timestamp with a TimeStampResp in DER."""
        asked = tsp.TimeStampReq.load(request, strict=True)
        stamp = Stamp(asked["message_imprint"]["hashed_message"].native, self._clock().replace(microsecond=0))
        if self._faults.stamp:
            stamp = self._faults.stamp(stamp)
        content = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": {
                "hash_algorithm": asked["message_imprint"]["hash_algorithm"],
                "hashed_message": stamp.imprint,
            },
            "serial_number": secrets.randbits(63),
            "gen_time": stamp.time,
        }
        if asked["nonce"].native is not None:
            content["nonce"] = asked["nonce"].native
        token = self._signed(tsp.TSTInfo(content).dump(), with_certificate=asked["cert_req"].native)
        reply = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token})
        return bytes(reply.dump())

    def _signed(self, content: bytes, *, with_certificate: bool) -> cms.ContentInfo:
        certificate = asn1_x509.Certificate.load(self._leaf.public_bytes(Encoding.DER))
        digest = algos.DigestAlgorithm({"algorithm": "sha256"})
        named = tsp.ESSCertIDv2({"hash_algorithm": digest, "cert_hash": sha256(certificate.dump())})
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "message_digest", "values": [sha256(content)]}),
                cms.CMSAttribute(
                    {
                        "type": "signing_certificate_v2",
                        "values": [tsp.SigningCertificateV2({"certs": [named]})],
                    }
                ),
            ]
        )
        signer = {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {
                    "issuer_and_serial_number": {
                        "issuer": certificate.issuer,
                        "serial_number": certificate.serial_number,
                    }
                }
            ),
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": sign(self._faults.stamp_key or self._key, attributes.dump()),
        }
        data = {
            "version": "v3",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": {
                "content_type": "tst_info",
                "content": core.ParsableOctetString(content),
            },
            "certificates": [certificate] if with_certificate else None,
            "signer_infos": [cms.SignerInfo(signer)],
        }
        return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)})
