"""The options that say who signs, or whose signature counts; `sign` and `verify` share most of them."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qaudit.errors import InputError

if TYPE_CHECKING:
    from qaudit.attest.certificate_mode import CertificateTrust
    from qaudit.attest.dsse import Sealer
    from qaudit.attest.keyless_verifying import Identity
    from qaudit.attest.sigstore_trust import PublicInstance, SigstoreTrust

_INSTANCE = "Which Sigstore instance (left out: the public one)"
TrustConfig = Annotated[
    Path | None,
    typer.Option(
        "--trust-config",
        metavar="FILE",
        help="Client trust configuration of a private instance; to verify, a trusted root alone will do.",
        rich_help_panel=_INSTANCE,
    ),
]
Staging = Annotated[
    bool,
    typer.Option("--staging", help="Sigstore's public staging instance.", rich_help_panel=_INSTANCE),
]
TufUrl = Annotated[
    str | None,
    typer.Option(
        "--tuf-url",
        metavar="URL",
        help="TUF repository of an instance; its updates are fetched and authenticated.",
        rich_help_panel=_INSTANCE,
    ),
]
TufRoot = Annotated[
    Path | None,
    typer.Option(
        "--tuf-root",
        metavar="FILE",
        help="The root.json that is trusted to begin with; needed with --tuf-url for a private instance.",
        rich_help_panel=_INSTANCE,
    ),
]


@dataclass(frozen=True, slots=True)
class Instance:
    """What the options of the panel above say."""

    trust_config: Path | None
    staging: bool
    tuf_url: str | None
    tuf_root: Path | None

    @property
    def is_named(self) -> bool:
        """Whether any of them was given."""
        return bool(self.trust_config or self.staging or self.tuf_url or self.tuf_root)

    @property
    def public(self) -> "PublicInstance | None":
        """The public instance that is meant, None for a private one."""
        from qaudit.attest.sigstore_trust import public_at

        if self.trust_config is not None:
            return None
        if self.tuf_url is not None:
            return public_at(self.tuf_url)
        return "staging" if self.staging else "production"

    def trust(self, *, fresh: bool) -> "SigstoreTrust":
        """Return the instance.

        Args:
            fresh: fetch a public instance's present state, as signing needs it; else nothing is
                fetched unless --tuf-url asks for it.

        Raises:
            InputError: two instances are named, or the one cannot be used.
        """
        from qaudit.attest.sigstore_trust import packaged_trust, read_trust_config, refreshed_trust, tuf_trust

        if sum((self.trust_config is not None, self.staging, self.tuf_url is not None)) > 1:
            raise InputError("--trust-config, --staging and --tuf-url name different instances; give one")
        if self.tuf_root is not None and self.tuf_url is None:
            raise InputError("--tuf-root: give the repository too, with --tuf-url")
        if self.trust_config is not None:
            return read_trust_config(self.trust_config)
        if self.tuf_url is not None:
            return tuf_trust(self.tuf_url, self.tuf_root)
        public: PublicInstance = "staging" if self.staging else "production"
        return refreshed_trust(public) if fresh else packaged_trust(public)


def sealer_for(
    *,
    key: Path | None,
    certificate: Path | None,
    chain: list[Path],
    keyless: bool,
    identity_token: str | None,
    instance: Instance,
    warn: Callable[[str], None],
) -> "Sealer":
    """Return the way of signing that the options of `qaudit sign` name.

    Raises:
        InputError: none, or two, or what is given cannot sign.
    """
    from qaudit.attest.local_key import load_signer, permission_warning
    from qaudit.cli.key_password import key_password

    wants_keyless = keyless or identity_token is not None or instance.is_named
    if wants_keyless and (key is not None or certificate is not None):
        raise InputError("--key signs with a key, --keyless and --identity-token with Sigstore; give one")
    if chain and certificate is None:
        raise InputError("--chain: give the signer's certificate too, with --certificate")
    if wants_keyless:
        return _keyless_sealer(identity_token, instance, warn)
    if key is None:
        raise InputError("say who signs: --key FILE, --key FILE with --certificate FILE, or --keyless")
    warning = permission_warning(key)
    if warning is not None:
        warn(warning)
    if certificate is None:
        return load_signer(key, lambda: key_password(key))
    from qaudit.attest.certificate_mode import load_certificate_sealer

    return load_certificate_sealer(key, certificate, chain, lambda: key_password(key))


def _keyless_sealer(identity_token: str | None, instance: Instance, warn: Callable[[str], None]) -> "Sealer":
    from qaudit.attest.identity_tokens import given_token, token_from_environment
    from qaudit.attest.keyless_signing import KeylessSealer

    token = token_from_environment() if identity_token is None else given_token(identity_token, sys.stdin)
    if identity_token is not None and token == identity_token:
        warn("a token on the command line is in process lists; give its file, -, or set SIGSTORE_ID_TOKEN")
    public = instance.public
    if public is not None:
        which = "staging instance" if public == "staging" else "instance"
        warn(f"the public Sigstore {which} publishes your identity and digests of what you sign, for ever")
    trust = instance.trust(fresh=True)
    return KeylessSealer(trust, token if token is not None else lambda: _token_at_hand(trust))


def _token_at_hand(trust: "SigstoreTrust") -> str:
    """Return the CI system's token, else that of whoever sits at this terminal."""
    from qaudit.attest.identity_tokens import ambient_token, browser_token

    token = ambient_token()
    if token is not None:
        return token
    if not sys.stdin.isatty():
        raise InputError(
            "no identity token: this is no CI system that hands one out, and nobody is here to log in;"
            " give --identity-token FILE or set SIGSTORE_ID_TOKEN"
        )
    return browser_token(trust)


def expected_identity(
    *, name: str | None, issuer: str | None, workflow: Mapping[str, str | None], instance: Instance
) -> "Identity | None":
    """Return the identity whose signature counts, None where another kind of signer is named.

    Args:
        name: the identity.
        issuer: who vouches for it.
        workflow: the fields of a `Workflow`; None where nothing is asked of one.
        instance: the Sigstore instance.

    Raises:
        InputError: half an identity, or conditions without one.
    """
    if name is None or issuer is None:
        if issuer is not None:
            raise InputError("--issuer: give the identity too, with --identity")
        if instance.is_named or any(condition is not None for condition in workflow.values()):
            raise InputError("a Sigstore instance or workflow is named: give --identity and --issuer too")
        return None
    from qaudit.attest.keyless_verifying import Identity, Workflow

    return Identity(name, issuer, instance.trust(fresh=False), Workflow(**workflow))


def expected_certificate(
    roots: list[Path], name: str | None, issuer: str | None
) -> "CertificateTrust | None":
    """Return the certificates that count, None where another kind of signer is named.

    Raises:
        InputError: roots without the signer's name, or with an issuer, which is Sigstore's.
    """
    if not roots:
        if name is not None and issuer is None:
            raise InputError("--identity: who vouches for it? give --issuer (Sigstore) or --certificate-root")
        return None
    if issuer is not None:
        raise InputError("--certificate-root and --issuer are of different modes; give one of them")
    if name is None:
        raise InputError("--certificate-root: give the signer's name in the certificate, with --identity")
    from qaudit.attest.certificate_mode import CertificateTrust

    return CertificateTrust(tuple(roots), name)
