"""Keyless mode, signing half: a short-lived certificate for an identity token, and a log entry.

The token goes to the instance's certificate authority only, and into no message. What the services
answer is verified as a consumer would before it leaves this module, so that a service that fails or
lies is met at signing, with nothing written.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import rfc8785

from qaudit.attest.dsse import SignedBy, parse_bundle
from qaudit.attest.fulcio_certificate import holder_issuer, holder_names
from qaudit.attest.keyless_verifying import Identity, IdentityVerifier
from qaudit.attest.service_calls import ask
from qaudit.attest.sigstore_trust import SigstoreTrust, require_sigstore
from qaudit.errors import EnvironmentProblem, InputError, VerificationFailed
from qaudit.strict_json import load_strict

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle
    from sigstore.oidc import IdentityToken
    from sigstore.sign import Signer

# a certificate with less life left is not used for another statement
SPARE = timedelta(seconds=60)


class KeylessSealer:
    """Seals statements with Sigstore, several with one certificate while it lasts.

    `signed_by` says after a seal who signed: the identity and issuer that a consumer must name.

    Args:
        trust: the instance, with its services.
        token: an OpenID Connect identity token, or what gets one. It is asked at the first seal: by
            then everything else has passed, and a token lives for minutes only.

    Raises:
        InputError: the token is no usable one, or only the instance's root is known.
    """

    def __init__(self, trust: SigstoreTrust, token: str | Callable[[], str]) -> None:
        require_sigstore()
        if trust.signing_config is None:
            raise InputError(
                f"{trust.name}: is a bare trusted root, enough to verify; to sign, give the instance's client"
                " trust configuration"
            )
        self._trust = trust
        self._get = token if callable(token) else None
        self._token = None if callable(token) else _read_token(token)
        self._signer: Signer | None = None
        self._signer_ends = datetime.min.replace(tzinfo=UTC)
        self.signed_by: SignedBy | None = None

    def seal(self, statement: bytes) -> bytes:
        """Sign statement bytes and return the bytes of a bundle file.

        Raises:
            EnvironmentProblem: a service does not answer, refuses, or answers what does not verify.
            InputError: not a statement, or the token cannot be used (any more).
        """
        from sigstore import dsse
        from sigstore.errors import Error

        try:
            contents = dsse.Statement(statement)
        except Error as error:
            raise InputError(f"not an in-toto statement ({error})") from error
        if self._signer is None or datetime.now(UTC) > self._signer_ends - SPARE:
            self._signer = self._certified()
        signer = self._signer
        secret = str(self._token)
        bundle = ask("log the signature", self._trust.name, lambda: signer.sign_dsse(contents), secret)
        self._signer_ends = bundle.signing_certificate.not_valid_after_utc
        # no white space, which could change unnoticed
        sealed = rfc8785.dumps(load_strict(bundle.to_json().encode()))  # type: ignore[arg-type]  # JSON
        self.signed_by = self._verified(sealed, bundle)
        return sealed

    def _certified(self) -> "Signer":
        """Make a new key and get it certified."""
        from sigstore.models import ClientTrustConfig
        from sigstore.sign import SigningContext
        from sigstore_models.trustroot.v1 import ClientTrustConfig as TrustDocument

        token = self._valid_token()
        if self._trust.signing_config is None:
            raise InputError(f"{self._trust.name}: names no services to sign with")
        document = TrustDocument(
            media_type="application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            trusted_root=self._trust.trusted_root,
            signing_config=self._trust.signing_config,
        )

        def start() -> "Signer":
            context = SigningContext.from_trust_config(ClientTrustConfig(document))
            with context.signer(token) as signer:
                return signer

        return ask("get a signing certificate", self._trust.name, start, str(token))

    def _valid_token(self) -> "IdentityToken":
        if self._get is not None and (self._token is None or not self._token.in_validity_period()):
            self._token = _read_token(self._get())
        if self._token is None or not self._token.in_validity_period():
            raise InputError("the identity token has expired; get a new one and sign again")
        return self._token

    def _verified(self, sealed: bytes, bundle: "Bundle") -> SignedBy:
        try:
            name, issuer = _holder(bundle.signing_certificate)
            verifier = IdentityVerifier(Identity(name, issuer, self._trust))
            return verifier.authenticate(parse_bundle(sealed, "the new signature"), "the new signature")
        except (VerificationFailed, ValueError) as error:
            raise EnvironmentProblem(
                f"{self._trust.name}: answers with what does not verify ({error}); nothing was written,"
                " ask who runs the instance"
            ) from error


def _holder(certificate: "Certificate") -> tuple[str, str]:
    names, issuer = holder_names(certificate), holder_issuer(certificate)
    if len(names) != 1 or not issuer:
        raise ValueError("the certificate names no single holder and issuer")
    return names[0], issuer


def _read_token(token: str) -> "IdentityToken":
    from sigstore.oidc import IdentityError, IdentityToken

    try:
        return IdentityToken(token)
    except IdentityError as error:
        # without the cause: it may hold parts of the token
        raise InputError(
            f"the identity token cannot be used ({error}); get a new one with the audience 'sigstore'"
        ) from None
