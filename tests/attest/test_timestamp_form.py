import secrets
from collections.abc import Callable

import pytest
from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.keys import sha256
from loopback_sigstore.timestamping import TimestampAuthority
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from qaudit.attest.timestamp_form import check_form

SIGNATURE = b"signature"


@pytest.fixture(scope="module")
def authority() -> TimestampAuthority:
    instance = LoopbackSigstore()
    instance.stop()
    return instance.timestamps


@pytest.fixture(scope="module")
def reply(authority: TimestampAuthority) -> bytes:
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": sha256(SIGNATURE)}
    return authority.answer(
        tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "cert_req": True}).dump()
    )


def certificates(authority: TimestampAuthority) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in authority.chain]


def test_a_plain_reply_has_the_form(authority: TimestampAuthority, reply: bytes) -> None:
    check_form(reply, certificates(authority))


def other_version(data: cms.SignedData) -> None:
    data["version"] = "v1"


def other_signer_version(data: cms.SignedData) -> None:
    data["signer_infos"][0]["version"] = "v3"


def other_algorithm(name: str) -> Callable[[cms.SignedData], None]:
    def apply(data: cms.SignedData) -> None:
        data["signer_infos"][0]["signature_algorithm"] = algos.SignedDigestAlgorithm({"algorithm": name})

    return apply


def two_digests(data: cms.SignedData) -> None:
    data["digest_algorithms"].append({"algorithm": "sha512"})


def other_digest(data: cms.SignedData) -> None:
    data["digest_algorithms"] = [{"algorithm": "sha512"}]


def unsigned_attribute(data: cms.SignedData) -> None:
    attribute = {"type": "1.2.3.4", "values": [core.OctetString(b"anything")]}
    data["signer_infos"][0]["unsigned_attrs"] = cms.CMSAttributes([attribute])


def another_certificate(data: cms.SignedData) -> None:
    instance = LoopbackSigstore()
    instance.stop()
    der = instance.timestamps.chain[-1].public_bytes(Encoding.DER)
    data["certificates"].append(asn1_x509.Certificate.load(der))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_version, "signed data of another version"),
        (other_signer_version, "a signer of another version"),
        (other_algorithm("sha384_ecdsa"), "signature algorithm is not that of its digest"),
        (other_algorithm("sha512_rsa"), "signature algorithm is not that of its digest"),
        (two_digests, "one digest algorithm"),
        (other_digest, "two digest algorithms"),
        (unsigned_attribute, "attributes that nobody signed"),
        (another_certificate, "certificates that are not in the trusted root"),
    ],
)
def test_unsigned_parts_are_refused(
    authority: TimestampAuthority, reply: bytes, change: Callable[[cms.SignedData], None], says: str
) -> None:
    response = tsp.TimeStampResp.load(reply)
    change(response["time_stamp_token"]["content"])
    changed = response.dump(force=True)
    assert changed != reply
    with pytest.raises(ValueError, match=says):
        check_form(changed, certificates(authority))


def test_the_library_alone_takes_some_of_them(authority: TimestampAuthority, reply: bytes) -> None:
    # why this module exists: when this fails, look whether it is still needed
    response = tsp.TimeStampResp.load(reply)
    other_version(response["time_stamp_token"]["content"])
    leaf, root = authority.chain
    verifier = VerifierBuilder(tsa_certificate=leaf, roots=[root]).build()
    assert verifier.verify_message(decode_timestamp_response(response.dump(force=True)), SIGNATURE)
    with pytest.raises(VerificationError):
        verifier.verify_message(decode_timestamp_response(reply), b"other")


@pytest.mark.parametrize(
    "status",
    [
        {"status": "granted_with_mods"},
        {"status": "granted", "status_string": ["all is well"]},
        {"status": "granted", "fail_info": {"bad_alg"}},
    ],
)
def test_the_status_says_granted_and_nothing_else(
    authority: TimestampAuthority, reply: bytes, status: dict[str, object]
) -> None:
    response = tsp.TimeStampResp.load(reply)
    response["status"] = status
    with pytest.raises(ValueError, match="status says more than granted"):
        check_form(response.dump(force=True), certificates(authority))


def test_bytes_after_the_end_or_in_the_middle_are_refused(
    authority: TimestampAuthority, reply: bytes
) -> None:
    for changed in (reply + b"\x00", reply[:-1], secrets.token_bytes(40), b""):
        with pytest.raises(ValueError, match=r"."):
            check_form(changed, certificates(authority))
