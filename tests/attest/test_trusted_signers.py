from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from certificate_kit import authority, write_pem
from release_kit import Release

from qaudit.attest.certificate_mode import CertificateTrust, CertificateVerifier
from qaudit.attest.keyless_verifying import Identity, IdentityVerifier
from qaudit.attest.local_key import KeyVerifier
from qaudit.attest.trusted_signers import authenticator_for
from qaudit.attest.verifying import verify
from qaudit.errors import InputError


@pytest.fixture
def signers(release: Release, tmp_path: Path) -> dict[str, Any]:
    root = write_pem(tmp_path / "root.pem", authority().certificate)
    return {
        "key": release.public,
        "certificate": CertificateTrust((root,), "ann@example.com"),
        "identity": Identity("ann@example.com", "https://issuer.example"),
    }


def test_each_mode_has_its_verifier(signers: dict[str, Any]) -> None:
    verifiers = {"key": KeyVerifier, "certificate": CertificateVerifier, "identity": IdentityVerifier}
    for name, kind in verifiers.items():
        assert isinstance(authenticator_for(**{name: signers[name]}), kind)


def test_nobody_is_not_anybody(signed: Release) -> None:
    with pytest.raises(InputError, match="no signer is named, and there is no way to accept any"):
        authenticator_for()
    with pytest.raises(InputError, match="no signer is named"):
        verify(signed.checkpoint)


def test_two_signers_are_one_too_many(signers: dict[str, Any]) -> None:
    for two in combinations(signers, 2):
        with pytest.raises(InputError, match="2 signers are named; name one"):
            authenticator_for(**{name: signers[name] for name in two})
    with pytest.raises(InputError, match="3 signers are named; name one"):
        authenticator_for(**signers)
