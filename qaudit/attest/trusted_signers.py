"""Whose signature counts: turns the one signer that a consumer names into an `Authenticator`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qaudit.attest.dsse import Authenticator
from qaudit.errors import InputError

if TYPE_CHECKING:
    from qaudit.attest.certificate_mode import CertificateTrust
    from qaudit.attest.keyless_verifying import Identity


def authenticator_for(
    *,
    key: Path | str | None = None,
    certificate: "CertificateTrust | None" = None,
    identity: "Identity | None" = None,
    now: datetime | None = None,
) -> Authenticator:
    """Return the verifier of the one signer that is named.

    Args:
        key: the signer's public key in PEM.
        certificate: the roots and the subject of the signer's certificate.
        identity: who signed with Sigstore, and who vouches for it.
        now: the time to verify at (UTC), where the clock's counts; for tests.

    Raises:
        InputError: none is named, or more than one, or the key or root cannot be used.
    """
    given = sum(signer is not None for signer in (key, certificate, identity))
    if given > 1:
        raise InputError(f"{given} signers are named; name one: a key, a certificate or an identity")
    # each mode loads when it is asked for: the others' certificates and logs take a while
    if key is not None:
        from qaudit.attest.local_key import load_verifier

        return load_verifier(Path(key))
    if certificate is not None:
        from qaudit.attest.certificate_mode import CertificateVerifier

        return CertificateVerifier(certificate, now)
    if identity is not None:
        from qaudit.attest.keyless_verifying import IdentityVerifier

        return IdentityVerifier(identity)
    raise InputError(
        "no signer is named, and there is no way to accept any: give a key, a certificate's roots and"
        " subject, or an identity and its issuer"
    )
