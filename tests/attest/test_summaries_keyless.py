"""Summaries of a keyless release: a log entry each, and the same identity."""

from pathlib import Path

import pytest
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.oidc import SUBJECT
from release_kit import make_release

from qaudit.attest import Verified, verify
from qaudit.attest.dsse import parse_bundle
from qaudit.attest.keyless_signing import KeylessSealer
from qaudit.attest.keyless_verifying import Identity
from qaudit.attest.sigstore_trust import read_trust_config
from qaudit.errors import VerificationFailed


def test_summaries_are_of_the_same_identity(tmp_path: Path) -> None:
    release = make_release(tmp_path, single=True)
    with LoopbackSigstore(rekor=2) as instance:
        trust = read_trust_config(instance.write_trust_config(tmp_path / "trust.json"))
        signed = release.sign_with(
            KeylessSealer(trust, instance.token()), now=None, also=["vsa", "test-result"]
        )
        payload = parse_bundle(signed.places.vsa.read_bytes(), "b").payload
        stranger = KeylessSealer(trust, instance.token("https://example.org/stranger")).seal(payload)

        def gate(name: str = SUBJECT) -> Verified:
            return verify(release.checkpoint, identity=Identity(name, instance.url, trust=trust))

        assert gate().summaries == ("vsa", "test-result")
        entries = [path.read_bytes() for path in (signed.places.bundle, signed.places.vsa)]
        assert len({parse_bundle(raw, "b").payload for raw in entries}) == 2
    # from here on without the instance
    assert gate().summaries == ("vsa", "test-result")
    signed.places.vsa.write_bytes(stranger)
    with pytest.raises(VerificationFailed, match="vsa"):
        gate()
    with pytest.raises(VerificationFailed):
        gate("https://example.org/stranger")
