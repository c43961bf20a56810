"""Keyless mode, verifying half: a signature that Sigstore ties to an identity, at a proven time.

Our own parser goes first, sigstore decides about certificate, logs and signature, and what it leaves
out is checked here: every field in one form, timestamps that must all verify, validity windows of
authorities and logs, one identity, its issuer, and that sigstore saw the payload that we saw. Nothing
is fetched.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from qaudit.attest.certificate_chains import unremarked
from qaudit.attest.dsse import Bundle, SignedBy
from qaudit.attest.fulcio_certificate import holder_names
from qaudit.attest.keyless_material import MALFORMED, parse_material
from qaudit.attest.sigstore_trust import SigstoreTrust, packaged_trust
from qaudit.attest.timestamps import stamped_times
from qaudit.attest.utc_times import utc_text
from qaudit.attest.validity_windows import KINDS, root_at
from qaudit.errors import InputError, VerificationFailed

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore_models.trustroot.v1 import TrustedRoot

MODE = "keyless"


@dataclass(frozen=True, slots=True)
class Workflow:
    """What a GitHub Actions run must have been; None asks for nothing.

    `repository` is `org/name`, `ref` the git ref (`refs/tags/v1`), `sha` the commit, `name` the
    workflow's name, `trigger` the event (`push`, `release`).
    """

    repository: str | None = None
    ref: str | None = None
    sha: str | None = None
    name: str | None = None
    trigger: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who must have signed, and who vouches for it; `verify` takes no half of it.

    Args:
        name: exactly what the certificate names: an email address, or the URI of a workflow or service.
        issuer: address of the OpenID Connect issuer that vouched for the name.
        trust: the Sigstore instance; None is the public one as the sigstore package knows it.
        workflow: further conditions on a GitHub Actions run.

    Raises:
        InputError: name or issuer is empty.
    """

    name: str
    issuer: str
    trust: SigstoreTrust | None = None
    workflow: Workflow = Workflow()

    def __post_init__(self) -> None:
        if not self.name or not self.issuer:
            raise InputError("an identity needs its issuer and the other way round; give both")


class IdentityVerifier:
    """Authenticates bundles that one identity signed with Sigstore."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._trust = identity.trust or packaged_trust()

    def authenticate(self, bundle: Bundle, where: object) -> SignedBy:
        """Return who signed, who vouches for that, and the proven time.

        Raises:
            VerificationFailed: another mode, another identity or issuer, or anything that does not
                verify; each says what.
        """
        material = parse_material(bundle, where)
        root = self._trust.trusted_root
        if material.log_id not in {log.log_id.key_id for log in root.tlogs}:
            raise VerificationFailed(
                f"{where}: was logged where {self._trust.name} knows no log; is it another Sigstore instance"
                " (--trust-config, --staging), or the sigstore package too old?"
            )
        with unremarked():
            stamped = stamped_times(material.timestamps, bundle.signature, root.timestamp_authorities, where)
            moments = (*stamped, *([material.promised_at] if material.promised_at else ()))
            self._verify_in_time(bundle, root, moments, where)
        # the earliest is what is proven: anybody may add a genuine timestamp of a later day
        return SignedBy(MODE, self._identity.name, self._identity.issuer, min(moments))

    def _verify_in_time(
        self, bundle: Bundle, root: "TrustedRoot", moments: tuple[datetime, ...], where: object
    ) -> None:
        then, closed = root_at(root, moments)
        try:
            self._verify(bundle, then, where)
        except VerificationFailed:
            if not closed:
                raise
            # with the whole root: either it is wrong anyway and says why, or a window was the reason
            self._verify(bundle, root, where)
            reason = self._reason(bundle, root, moments)
            raise VerificationFailed(
                f"{where}: was signed at {utc_text(min(moments))} {reason}; do not trust it"
            ) from None

    def _reason(self, bundle: Bundle, root: "TrustedRoot", moments: tuple[datetime, ...]) -> str:
        for kind in KINDS:
            then, closed = root_at(root, moments, [kind])
            try:
                self._verify(bundle, then, "")
            except VerificationFailed:
                return f"by a {kind} that did not count then (validFor {'; '.join(map(str, closed))})"
        return "by authorities that did not count then (validFor)"

    def _verify(self, bundle: Bundle, root: "TrustedRoot", where: object) -> None:
        from sigstore import models
        from sigstore.errors import Error
        from sigstore.verify import Verifier

        signer = _SignerPolicy(self._identity)
        try:
            parsed = models.Bundle.from_json(bundle.raw)
            verifier = Verifier(trusted_root=models.TrustedRoot(root))
            payload_type, payload = verifier.verify_dsse(parsed, signer)
        except Error as error:
            raise VerificationFailed(f"{where}: {signer.problem or _explain(str(error))}") from error
        except MALFORMED as error:
            # sigstore expects sane certificates and numbers; whatever trips it up is no signature
            raise VerificationFailed(f"{where}: does not verify ({type(error).__name__}: {error})") from error
        if (payload_type, payload) != (bundle.payload_type, bundle.payload):
            raise VerificationFailed(f"{where}: two readings of the bundle differ; do not trust it")


class _SignerPolicy:
    """sigstore's policy interface: called with a certificate that the instance has issued."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.problem: str | None = None

    def verify(self, cert: "Certificate") -> None:
        from sigstore.errors import VerificationError
        from sigstore.verify import policy

        identity, workflow = self._identity, self._identity.workflow
        names = holder_names(cert)
        if names != (identity.name,):
            self.problem = (
                f"was signed by {', '.join(map(ascii, names)) or 'nobody'}, not by {identity.name!a}"
            )
            raise VerificationError(self.problem)
        try:
            policy.OIDCIssuerV2(identity.issuer).verify(cert)
        except VerificationError as error:
            self.problem = f"another issuer than {identity.issuer!a} vouches for the signer ({error})"
            raise
        checks = (
            ("repository", workflow.repository, policy.GitHubWorkflowRepository),
            ("ref", workflow.ref, policy.GitHubWorkflowRef),
            ("commit", workflow.sha, policy.GitHubWorkflowSHA),
            ("name", workflow.name, policy.GitHubWorkflowName),
            ("trigger", workflow.trigger, policy.GitHubWorkflowTrigger),
        )
        for what, wanted, check in checks:
            if wanted is None:
                continue
            try:
                check(wanted).verify(cert)
            except VerificationError as error:
                self.problem = f"the workflow's {what} is not {wanted!a} ({error})"
                raise


# the beginning of what sigstore says, and what it means here
_MEANINGS = (
    (
        "failed to build timestamp certificate chain",
        "the certificate was not issued by this Sigstore instance, or was not valid at the proven time",
    ),
    ("failed to verify SCT", "the certificate is not in the instance's certificate transparency log"),
    ("invalid log entry: checkpoint", "the log's checkpoint does not verify"),
    ("invalid log entry: Inclusion proof", "the checkpoint is of another tree than the inclusion proof"),
    ("invalid log entry: inclusion proof", "the inclusion proof does not lead to the log's tree"),
    ("invalid log entry: SET", "the log's promise, which proves the time, does not verify"),
    ("invalid signing cert", "the certificate was not valid at the proven time"),
    ("DSSE: invalid signature", "the signature does not verify: the bundle was changed"),
    ("log entry payload hash", "the log entry is of other bytes than the signed ones"),
    ("log entry signatures", "the log entry is of another signature"),
    ("transparency log entry is inconsistent", "the log entry is of other bytes than the signed ones"),
    # an empty list is refused when the root is read, so that these are there, but not yet in force
    ("Fulcio certificates not found", "no certificate authority of the trusted root counts yet: validFor"),
    ("CTFE keys not found", "no certificate transparency log of the trusted root counts yet: validFor"),
    ("Did not find any Rekor keys", "no transparency log of the trusted root counts yet: validFor"),
)
# where sigstore goes on with dumps of its objects
_DUMPS = re.compile(r" \(encountered processing|: expected log_index| \[type=|: No <class")


def _explain(message: str) -> str:
    line = _DUMPS.split(" ".join(message.split()), maxsplit=1)[0][:300]
    for beginning, meaning in _MEANINGS:
        if line.startswith(beginning):
            return f"{meaning} ({line})"
    return f"does not verify ({line})"
