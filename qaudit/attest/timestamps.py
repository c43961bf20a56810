"""RFC 3161 timestamps: when a signature existed, as authorities of the trusted root vouch for it.

Every timestamp that a bundle holds must verify. sigstore passes over those that do not where another
proof of time is there; they would be bytes that anybody may change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from qaudit.attest.keyless_material import MALFORMED
from qaudit.attest.timestamp_form import check_form
from qaudit.attest.utc_times import utc_text
from qaudit.attest.validity_windows import is_open
from qaudit.errors import VerificationFailed

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse
    from sigstore_models.trustroot.v1 import CertificateAuthority


@dataclass(frozen=True, slots=True)
class _Vouched:
    at: datetime
    in_time: bool
    chain: tuple[bytes, ...]


def stamped_times(
    timestamps: Sequence[bytes],
    signature: bytes,
    authorities: "Sequence[CertificateAuthority]",
    where: object,
) -> tuple[datetime, ...]:
    """Verify timestamps over a signature and return their times (UTC).

    Args:
        timestamps: DER TimeStampResp, as bundles hold them.
        signature: what they are about.
        authorities: of the trusted root.
        where: the bundle, for messages.

    Raises:
        VerificationFailed: one is malformed, over other bytes, by nobody in the root, or by an
            authority that did not count at that time; or one is there twice.
    """
    if len(set(timestamps)) != len(timestamps):
        raise VerificationFailed(f"{where}: holds the same timestamp twice; fetch the release again")
    return tuple(_stamped(der, signature, authorities, where) for der in timestamps)


def _stamped(
    der: bytes, signature: bytes, authorities: "Sequence[CertificateAuthority]", where: object
) -> datetime:
    from rfc3161_client import decode_timestamp_response

    try:
        response = decode_timestamp_response(der)
        if response.as_bytes() != der:
            raise ValueError("not DER")
    except MALFORMED as error:
        raise VerificationFailed(f"{where}: a timestamp does not parse ({error})") from error
    vouched = [found for a in authorities if (found := _vouched(a, response, signature)) is not None]
    if not vouched:
        raise VerificationFailed(
            f"{where}: a timestamp does not verify: it is over other bytes, or by an authority that is not"
            " in the trusted root"
        )
    for found in vouched:
        if found.in_time:
            _refuse_unsigned_parts(der, found.chain, where)
            return found.at
    raise VerificationFailed(
        f"{where}: was timestamped at {utc_text(vouched[0].at)}, when the trusted root did not give"
        " the authority that right (validFor); do not trust it"
    )


def _vouched(
    authority: "CertificateAuthority", response: "TimeStampResponse", signature: bytes
) -> _Vouched | None:
    from cryptography.x509 import load_der_x509_certificate
    from rfc3161_client import VerificationError, VerifierBuilder

    try:
        # a broken certificate in the root vouches for nothing
        chain = [load_der_x509_certificate(c.raw_bytes) for c in authority.cert_chain.certificates]
        if len(chain) < 2:
            return None
        builder = VerifierBuilder(tsa_certificate=chain[0], intermediates=chain[1:-1], roots=[chain[-1]])
        builder.build().verify_message(response, signature)
    except (VerificationError, *MALFORMED):
        return None
    at = response.tst_info.gen_time
    certificates = tuple(c.raw_bytes for c in authority.cert_chain.certificates)
    return _Vouched(at, is_open(authority.valid_for, [at]), certificates)


def _refuse_unsigned_parts(der: bytes, chain: tuple[bytes, ...], where: object) -> None:
    try:
        check_form(der, chain)
    except MALFORMED as error:
        raise VerificationFailed(
            f"{where}: a timestamp verifies, but not in all its parts ({error}); fetch the release again"
        ) from error
