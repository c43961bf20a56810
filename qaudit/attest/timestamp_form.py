"""The one form that an RFC 3161 reply may have here: no part of it that its signature does not cover.

Version numbers, algorithm names, unsigned attributes, further certificates and status texts are outside
what a timestamp's signature covers (RFC 5652, RFC 3161) and pass the usual verification whatever they
say.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asn1crypto.algos import SignedDigestAlgorithm
    from asn1crypto.core import SetOf

# https://www.rfc-editor.org/rfc/rfc5652#section-5.1 and 5.3
_SIGNED_DATA_VERSION = "v3"
_SIGNER_VERSIONS = {"issuer_and_serial_number": "v1", "subject_key_identifier": "v3"}
# some authorities name the key's algorithm instead of the signature's
_KEY_ALGORITHMS = frozenset({"rsassa_pkcs1v15", "ed25519"})
_EC_PUBLIC_KEY = "1.2.840.10045.2.1"


def check_form(reply: bytes, certificates: Collection[bytes]) -> None:
    """Check a timestamp reply that verifies.

    Args:
        reply: DER TimeStampResp.
        certificates: DER of the authority's chain in the trusted root, the only ones it may repeat.

    Raises:
        ValueError: a part that nobody signed is not as it must be.
    """
    from asn1crypto import tsp

    response = tsp.TimeStampResp.load(reply, strict=True)  # type: ignore[no-untyped-call]  # asn1crypto has no types
    status = response["status"]
    if status["status"].native != "granted" or status["status_string"].native or status["fail_info"].native:
        raise ValueError("its status says more than granted")
    signed = response["time_stamp_token"]["content"]
    if signed["version"].native != _SIGNED_DATA_VERSION:
        raise ValueError("signed data of another version")
    if signed["crls"].native:
        raise ValueError("it holds revocation lists")
    if any(sent not in certificates for sent in _encodings(signed["certificates"])):
        raise ValueError("it holds certificates that are not in the trusted root")
    if len(signed["signer_infos"]) != 1 or len(signed["digest_algorithms"]) != 1:
        raise ValueError("not one signer and one digest algorithm")
    signer = signed["signer_infos"][0]
    if signer["version"].native != _SIGNER_VERSIONS.get(signer["sid"].name):
        raise ValueError("a signer of another version")
    if _encodings(signer["unsigned_attrs"]):
        raise ValueError("it holds attributes that nobody signed")
    digest = signer["digest_algorithm"]["algorithm"].native
    if signed["digest_algorithms"][0]["algorithm"].native != digest:
        raise ValueError("two digest algorithms")
    _check_algorithm(signer["signature_algorithm"], digest)


def _check_algorithm(algorithm: "SignedDigestAlgorithm", digest: str) -> None:
    name = algorithm["algorithm"].native
    if name in (f"{digest}_ecdsa", f"{digest}_rsa", _EC_PUBLIC_KEY) or name in _KEY_ALGORITHMS:
        return
    raise ValueError("its signature algorithm is not that of its digest")


def _encodings(field: "SetOf") -> list[bytes]:
    """Return the members of an optional SET, in DER."""
    return [] if field.native is None else [member.dump() for member in field]
