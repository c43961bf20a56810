"""Attestation: sign a checkpoint with its audit report and policy, and refuse everything else.

`sign` makes one in-toto statement over every file of a checkpoint, the exact bytes of its audit
report and the policy that judged it; `verify` is the consumer's gate and is closed on failure.
A way of signing is a *mode*: an object with `seal` (statement bytes to bundle bytes) on one side
and `authenticate` (bundle to signer) on the other, see `qaudit.attest.dsse`. There are three: an
offline key, a key with a certificate chain, and keyless with Sigstore; the statement, the layout and
the gate know nothing about them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qaudit.errors import MissingExtra

if TYPE_CHECKING:
    from qaudit.attest.certificate_mode import CertificateTrust
    from qaudit.attest.keyless_verifying import Identity
    from qaudit.attest.signing import Signed, sign
    from qaudit.attest.verifying import Verified, verify

# said here once: every module of the room needs both, and an ImportError would not name the extra
for _need in ("cryptography", "rfc8785"):
    try:
        import_module(_need)
    except ModuleNotFoundError as _error:
        raise MissingExtra(_need, "sign") from _error

__all__ = ["CertificateTrust", "Identity", "Signed", "Verified", "sign", "verify"]

# loaded when first used: whoever verifies with a key needs neither signing nor the other modes
_PUBLIC = {
    "CertificateTrust": "certificate_mode",
    "Identity": "keyless_verifying",
    "Signed": "signing",
    "Verified": "verifying",
    "sign": "signing",
    "verify": "verifying",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _PUBLIC:
        raise AttributeError(f"module 'qaudit.attest' has no attribute {name!r}")
    return getattr(import_module(f"qaudit.attest.{_PUBLIC[name]}"), name)
