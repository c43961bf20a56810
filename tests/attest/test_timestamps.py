import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import tsp
from loopback_sigstore.faults import stamped_earlier
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.keys import new_key, sha256
from loopback_sigstore.trust import Window, ended, not_begun
from sigstore_models.trustroot.v1 import CertificateAuthority, TrustedRoot

from qaudit.attest.certificate_chains import unremarked
from qaudit.attest.timestamps import stamped_times
from qaudit.errors import VerificationFailed

SIGNATURE = b"signature"
HOUR = timedelta(hours=1)


@pytest.fixture
def instance() -> LoopbackSigstore:
    made = LoopbackSigstore()
    made.stop()
    return made


def stamp(instance: LoopbackSigstore, message: bytes = SIGNATURE) -> bytes:
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": sha256(message)}
    request = tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "cert_req": True})
    return instance.timestamps.answer(request.dump())


def authorities(*instances: LoopbackSigstore) -> list[CertificateAuthority]:
    found: list[CertificateAuthority] = []
    for instance in instances:
        found += TrustedRoot.from_json(json.dumps(instance.trusted_root())).timestamp_authorities
    return found


def refuse(stamps: list[bytes], trusted: list[CertificateAuthority], says: str) -> None:
    with pytest.raises(VerificationFailed, match=says) as caught:
        stamped_times(stamps, SIGNATURE, trusted, "b")
    assert str(caught.value).startswith("b: ")


def test_the_time_is_the_authoritys(instance: LoopbackSigstore) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    (time,) = stamped_times([stamp(instance)], SIGNATURE, authorities(instance), "b")
    assert before <= time <= datetime.now(UTC)
    instance.faults.stamp = stamped_earlier(HOUR)
    (earlier,) = stamped_times([stamp(instance)], SIGNATURE, authorities(instance), "b")
    assert earlier <= time - HOUR + timedelta(seconds=10)
    assert stamped_times([], SIGNATURE, [], "b") == ()


def test_every_timestamp_must_verify(instance: LoopbackSigstore) -> None:
    good, over_other_bytes = stamp(instance), stamp(instance, b"other")
    refuse([good, over_other_bytes], authorities(instance), "does not verify: it is over other bytes")
    refuse([good, good], authorities(instance), "the same timestamp twice")
    refuse([good, b"garbage"], authorities(instance), "does not parse")
    refuse([good, good[:-3]], authorities(instance), "does not")


def test_only_authorities_of_the_root_count(instance: LoopbackSigstore) -> None:
    other = LoopbackSigstore()
    other.stop()
    refuse([stamp(instance)], authorities(other), "not in the trusted root")
    refuse([stamp(instance)], [], "not in the trusted root")
    assert stamped_times([stamp(instance)], SIGNATURE, authorities(other, instance), "b")
    instance.faults.stamp_key = new_key()
    refuse([stamp(instance)], authorities(instance), "does not verify")


@pytest.mark.parametrize("window", [ended(), not_begun()])
def test_an_authority_counts_in_its_window_only(instance: LoopbackSigstore, window: Window) -> None:
    instance.windows.timestamps = window
    refuse([stamp(instance)], authorities(instance), r"did not give the authority that right \(validFor\)")


def test_one_of_two_entries_for_an_authority_may_be_open(instance: LoopbackSigstore) -> None:
    (opened,) = authorities(instance)
    instance.windows.timestamps = ended()
    (closed,) = authorities(instance)
    assert stamped_times([stamp(instance)], SIGNATURE, [closed, opened], "b")


def test_the_moment_of_the_window_is_the_stamped_one(instance: LoopbackSigstore) -> None:
    instance.windows.timestamps = ended(HOUR)
    instance.faults.stamp = stamped_earlier(2 * HOUR)
    assert stamped_times([stamp(instance)], SIGNATURE, authorities(instance), "b")


def test_a_root_without_its_chain_vouches_for_nothing(instance: LoopbackSigstore) -> None:
    (whole,) = authorities(instance)
    short = whole.model_copy(
        update={
            "cert_chain": whole.cert_chain.model_copy(
                update={"certificates": whole.cert_chain.certificates[:1]}
            )
        }
    )
    refuse([stamp(instance)], [short], "not in the trusted root")


def test_a_broken_certificate_in_the_root_vouches_for_nothing(instance: LoopbackSigstore) -> None:
    (whole,) = authorities(instance)
    document = instance.trusted_root()
    document["timestampAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"] = "MAA="
    (broken,) = TrustedRoot.from_json(json.dumps(document)).timestamp_authorities
    refuse([stamp(instance)], [broken], "not in the trusted root")
    assert stamped_times([stamp(instance)], SIGNATURE, [broken, whole], "b")


def test_no_flipped_bit_passes(instance: LoopbackSigstore) -> None:
    good, trusted = stamp(instance), authorities(instance)
    for position in random.Random(5).sample(range(8 * len(good)), 120):
        changed = bytearray(good)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(VerificationFailed):
            stamped_times([bytes(changed)], SIGNATURE, trusted, "b")


@pytest.mark.slow
def test_no_flipped_bit_passes_at_all(instance: LoopbackSigstore) -> None:
    good, trusted = stamp(instance), authorities(instance)
    for position in range(8 * len(good)):
        changed = bytearray(good)
        changed[position // 8] ^= 1 << position % 8
        # as the gate does, which calls this with the library's remarks off
        with unremarked(), pytest.raises(VerificationFailed):
            stamped_times([bytes(changed)], SIGNATURE, trusted, "b")
