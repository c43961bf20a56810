"""Attestation: sign a checkpoint with its audit report and policy, and refuse everything else.

`sign` makes one in-toto statement over every file of a checkpoint, the exact bytes of its audit
report and the policy that judged it; `verify` is the consumer's gate and is closed on failure.
A way of signing is a *mode*: an object with `seal` (statement bytes to bundle bytes) on one side
and `authenticate` (bundle to signer) on the other, see `qaudit.attest.dsse`. There are three: an
offline key, a key with a certificate chain, and keyless with Sigstore; the statement, the layout and
the gate know nothing about them.
"""

from importlib import import_module

from qaudit.errors import MissingExtra

# said here once: every module of the room needs both, and an ImportError would not name the extra
for _need in ("cryptography", "rfc8785"):
    try:
        import_module(_need)
    except ModuleNotFoundError as _error:
        raise MissingExtra(_need, "sign") from _error

from qaudit.attest.signing import Signed, sign  # noqa: E402  (after the check above)
from qaudit.attest.trusted_signers import CertificateTrust, Identity  # noqa: E402
from qaudit.attest.verifying import Verified, verify  # noqa: E402

__all__ = ["CertificateTrust", "Identity", "Signed", "Verified", "sign", "verify"]
