"""The proven time of a keyless signature against windows, certificates and the statement's own dates."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attest.keyless_desk import Desk
from attest.knockouts import stamps_of
from loopback_sigstore.forging import forge, stamp_request
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.keys import text64
from loopback_sigstore.trust import Window, Windows
from release_kit import make_release

from qaudit.attest.dsse import parse_bundle
from qaudit.errors import VerificationFailed

DAY = timedelta(days=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
KINDS = ("authority", "certificates_log", "log", "timestamps")


def desk_at(folder: Path, then: datetime, *, verified: datetime | None = None, version: int = 1) -> Desk:
    """A release that was signed at `then`, and says that it was verified at another time."""
    release = make_release(folder)
    release.sign(now=verified or then)
    statement = parse_bundle(release.bundle.read_bytes(), "b").payload
    instance = LoopbackSigstore(rekor=2 if version == 2 else 1, clock=lambda: then)
    instance.windows = Windows(*[Window(LONG_AGO)] * 4)
    with instance:
        desk = Desk(release, statement, instance, folder / "trust.json")
        desk.put(forge(instance, statement))
    return desk


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def old(tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    """Signed a week ago."""
    return desk_at(tmp_path, datetime.now(UTC) - 7 * DAY, version=request.param)


def trusting(desk: Desk, kind: str, window: Window) -> Desk:
    """The same bundle before a verifier whose root has another window for one kind of key."""
    setattr(desk.instance.windows, kind, window)
    desk.instance.write_trust_config(desk.trust)
    return desk


def test_a_certificate_that_has_expired_since_counts(old: Desk) -> None:
    proven = old.gate().signed_by.signed_at
    assert proven is not None
    assert abs(datetime.now(UTC) - 7 * DAY - proven) < timedelta(hours=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_was_retired_since_counts(old: Desk, kind: str) -> None:
    trusting(old, kind, Window(LONG_AGO, datetime.now(UTC) - 6 * DAY)).gate()


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_was_retired_before_does_not(old: Desk, kind: str) -> None:
    with pytest.raises(VerificationFailed, match="validFor"):
        trusting(old, kind, Window(LONG_AGO, datetime.now(UTC) - 8 * DAY)).gate()


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_came_later_does_not(old: Desk, kind: str) -> None:
    with pytest.raises(VerificationFailed, match="validFor"):
        trusting(old, kind, Window(datetime.now(UTC) - 6 * DAY)).gate()


def test_a_signature_from_the_future(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with pytest.raises(VerificationFailed, match="logged in the future"):
        desk_at(tmp_path, now + timedelta(hours=1), verified=now).gate()


def test_a_statement_that_says_it_is_younger_than_its_signature(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with pytest.raises(VerificationFailed, match=r"says that it was verified at .* but it was signed before"):
        desk_at(tmp_path, now - 7 * DAY, verified=now).gate()


@pytest.mark.parametrize("version", [1, 2])
def test_a_later_timestamp_that_somebody_added_does_not_move_the_time(tmp_path: Path, version: int) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    then = [now - 7 * DAY]
    release = make_release(tmp_path)
    release.sign(now=then[0])
    statement = parse_bundle(release.bundle.read_bytes(), "b").payload
    instance = LoopbackSigstore(rekor=2 if version == 2 else 1, clock=lambda: then[0])
    instance.windows = Windows(*[Window(LONG_AGO)] * 4)
    with instance:
        desk = Desk(release, statement, instance, tmp_path / "trust.json")
        bundle = forge(instance, statement)
        then[0] += timedelta(minutes=5)
        signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
        later = text64(instance.timestamps.answer(stamp_request(signature)))
        stamps_of(bundle).append({"signedTimestamp": later})
        desk.put(bundle)
    assert desk.gate().signed_by.signed_at == now - 7 * DAY
