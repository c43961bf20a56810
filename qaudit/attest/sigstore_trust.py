"""The Sigstore instance that is trusted: its root, where it came from, and where its services are.

Three sources, each pinned: the roots of the public instances that the sigstore package carries, a
file that the consumer names, and a TUF repository whose updates are authenticated. The cache that
sigstore keeps in the user's folder is never read unauthenticated: whoever can write there could
otherwise choose who is trusted.
"""

import ipaddress
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from qaudit.errors import (
    EnvironmentProblem,
    InputError,
    MalformedFile,
    MissingExtra,
    VerificationFailed,
)
from qaudit.files import read_bounded, sha256_bytes
from qaudit.strict_json import first_problem, load_strict

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig
    from sigstore_models.common.v1 import TimeRange
    from sigstore_models.trustroot.v1 import SigningConfig, TrustedRoot

TRUST_LIMIT = 4 << 20
PublicInstance = Literal["production", "staging"]
_TUF_URLS: dict[PublicInstance, str] = {
    "production": "https://tuf-repo-cdn.sigstore.dev",
    "staging": "https://tuf-repo-cdn.sigstage.dev",
}
_TRUST_CONFIG_TYPE = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
_TRUSTED_ROOT_PREFIX = "application/vnd.dev.sigstore.trustedroot"


@dataclass(frozen=True, slots=True)
class SigstoreTrust:
    """One Sigstore instance.

    `name` says in messages where it came from. `signing_config` is None where only the trusted root
    is known: enough to verify, not to sign.
    """

    name: str
    trusted_root: "TrustedRoot"
    signing_config: "SigningConfig | None" = None

    @property
    def sha256(self) -> str:
        """Digest of the trusted root, to compare and to log."""
        return sha256_bytes(self.trusted_root.to_json().encode())


def require_sigstore() -> None:
    """Check that the sigstore library is there.

    Raises:
        MissingExtra: it is not.
    """
    try:
        import_module("sigstore.models")
    except ModuleNotFoundError as error:
        raise MissingExtra("sigstore", "sign") from error


def packaged_trust(instance: PublicInstance = "production") -> SigstoreTrust:
    """Return a public instance as the installed sigstore package knows it; nothing is fetched.

    Raises:
        MissingExtra: sigstore is not installed.
        EnvironmentProblem: the package does not carry the root.
    """
    require_sigstore()
    name = f"Sigstore's {instance} root in the installed sigstore package"
    url = _TUF_URLS[instance]
    root, config = _packaged(url, "trusted_root.json"), _packaged(url, "signing_config.v0.2.json")
    if root is None or config is None:
        raise EnvironmentProblem(f"{name} is missing; run: pip install -U sigstore, or give --trust-config")
    return _checked(name, root, config)


def refreshed_trust(instance: PublicInstance) -> SigstoreTrust:
    """Return a public instance as its TUF repository has it today, for signing.

    Raises: as `tuf_trust`.
    """
    return tuf_trust(_TUF_URLS[instance])


def public_at(url: str) -> PublicInstance | None:
    """Return which public instance has its TUF repository at an address, None for a private one."""
    return next((name for name, known in _TUF_URLS.items() if known == url.rstrip("/")), None)


def read_trust_config(path: Path) -> SigstoreTrust:
    """Read a private instance from a client trust configuration or a bare trusted root (JSON).

    Raises:
        InputError: the file cannot be read, is neither, or lists too little to verify anything.
        MissingExtra: sigstore is not installed.
    """
    require_sigstore()
    raw = read_bounded(path, TRUST_LIMIT)
    try:
        document = load_strict(raw)
    except ValueError as error:
        raise _not_a_config(path, str(error)) from error
    media_type = document.get("mediaType") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(media_type, str):
        raise _not_a_config(path, "mediaType is missing")
    if media_type.startswith(_TRUSTED_ROOT_PREFIX):
        return _checked(str(path), raw, None)
    if media_type != _TRUST_CONFIG_TYPE:
        raise _not_a_config(path, "mediaType is another")
    root, config = document.get("trustedRoot"), document.get("signingConfig")
    if set(document) != {"mediaType", "trustedRoot", "signingConfig"}:
        raise _not_a_config(path, "it holds mediaType, trustedRoot and signingConfig, nothing else")
    return _checked(str(path), json.dumps(root).encode(), json.dumps(config).encode())


def tuf_trust(url: str, root: Path | None = None) -> SigstoreTrust:
    """Fetch an instance from its TUF repository; every update is authenticated from `root` on.

    Args:
        url: the repository.
        root: the `root.json` that is trusted to begin with. It may be left out for Sigstore's public
            repositories only, whose root the sigstore package carries.

    Raises:
        EnvironmentProblem: the repository does not answer, or the cache cannot be written.
        InputError: no root, or one that is not TUF metadata.
        MissingExtra: sigstore is not installed.
        VerificationFailed: what the repository answers does not verify: another signer, an older
            version than seen before, expired.
    """
    require_sigstore()
    url = url.rstrip("/")
    if _scheme_and_host(url) is None:
        raise InputError(f"--tuf-url {url}: not an http or https address")
    known = _packaged(url, "root.json")
    if root is None and known is None:
        raise InputError(f"--tuf-url {url}: give the root.json that you trust with --tuf-root")
    if root is not None and read_bounded(root, TRUST_LIMIT) != known and known is not None:
        # sigstore would use its own all the same
        raise InputError(f"--tuf-root {root}: not the root of {url} that sigstore carries; leave it out")
    config = _fetch(url, root)
    name = f"the TUF repository {url}"
    return _checked(
        name,
        config.trusted_root._inner.to_json().encode(),
        config.signing_config._inner.to_json().encode(),
    )


def _fetch(url: str, root: Path | None) -> "ClientTrustConfig":
    from sigstore.errors import Error, TUFError
    from sigstore.models import ClientTrustConfig
    from tuf.api.exceptions import DownloadError, RepositoryError

    try:
        return ClientTrustConfig.from_tuf(url, bootstrap_root=root)
    except TUFError as error:
        cause = error.__cause__
        if isinstance(cause, RepositoryError):
            raise VerificationFailed(
                f"{url}: the TUF metadata does not verify ({_meaning(cause)}); check --tuf-root"
            ) from error
        if isinstance(cause, DownloadError | OSError):
            raise EnvironmentProblem(
                f"{url}: cannot be fetched ({_unfetched(cause)}); check the network, or give --trust-config"
                " FILE"
            ) from error
        raise InputError(f"{url}: not a usable TUF repository ({cause or error})") from error
    except (Error, ValueError) as error:
        raise InputError(f"{url}: holds no usable Sigstore configuration ({error})") from error
    except OSError as error:
        raise EnvironmentProblem(
            f"{url}: the cache for its metadata cannot be used ({error}); set XDG_DATA_HOME and"
            " XDG_CACHE_HOME to folders that can be written"
        ) from error


def _meaning(error: BaseException) -> str:
    """Return what a TUF client's refusal means."""
    from tuf.api import exceptions

    meanings: tuple[tuple[type[Exception], str], ...] = (
        (exceptions.ExpiredMetadataError, "it has expired: an old state, or one that nobody renews"),
        (exceptions.BadVersionNumberError, "another version than must follow: an older state"),
        (exceptions.UnsignedMetadataError, "not signed by those whom the trusted root names"),
        (exceptions.LengthOrHashMismatchError, "a file is not the one that the metadata lists"),
    )
    said = " ".join(str(error).split())
    meaning = next((words for kind, words in meanings if isinstance(error, kind)), type(error).__name__)
    return f"{meaning}; {said}" if said else meaning


def _unfetched(error: BaseException) -> str:
    """Return why nothing came, for whom the names of a TUF client's errors say nothing."""
    from tuf.api.exceptions import DownloadHTTPError, SlowRetrievalError

    if isinstance(error, DownloadHTTPError):
        return f"it answers {error.status_code}"
    if isinstance(error, SlowRetrievalError):
        # what the client calls every connection that fails, one that is refused too
        return "no connection, or no answer in time"
    said = " ".join(str(error).split())[:300]
    return said or type(error).__name__


def _packaged(url: str, name: str) -> bytes | None:
    try:
        return resources.files("sigstore").joinpath("_store", quote(url, safe=""), name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _checked(name: str, root_json: bytes, config_json: bytes | None) -> SigstoreTrust:
    from sigstore_models.trustroot.v1 import SigningConfig, TrustedRoot

    try:
        load_strict(root_json)
        root = TrustedRoot.from_json(root_json)
    except ValueError as error:
        raise _not_a_config(name, f"trusted root: {_problem(error)}") from error
    try:
        config = None if config_json is None else SigningConfig.from_json(config_json)
    except ValueError as error:
        raise _not_a_config(name, f"signing configuration: {_problem(error)}") from error
    for kind, found in (
        ("transparency log", root.tlogs),
        ("certificate authority", root.certificate_authorities),
        ("certificate transparency log", root.ctlogs),
    ):
        if not found:
            raise _not_a_config(name, f"it lists no {kind}, without which nothing verifies")
    for window in _windows(root):
        for moment in (window.start, window.end):
            if moment is not None and moment.utcoffset() != timedelta(0):
                raise _not_a_config(name, f"validFor: {moment.isoformat()} is not a time in UTC")
    if config is not None:
        _refuse_plain_http(name, config)
    return SigstoreTrust(name, root, config)


def _problem(error: ValueError) -> str:
    return first_problem(error) if isinstance(error, ValidationError) else str(error)


def _windows(root: "TrustedRoot") -> "Iterator[TimeRange]":
    for log in (*root.tlogs, *root.ctlogs):
        if log.public_key.valid_for is not None:
            yield log.public_key.valid_for
    for authority in (*root.certificate_authorities, *root.timestamp_authorities):
        yield authority.valid_for


def _refuse_plain_http(name: str, config: "SigningConfig") -> None:
    services: list[Any] = [*config.ca_urls, *config.oidc_urls, *config.rekor_tlog_urls, *config.tsa_urls]
    for service in services:
        found = _scheme_and_host(service.url)
        if found is not None and (found[0] == "https" or _is_loopback(found[1])):
            continue
        # the identity token goes to these services
        raise _not_a_config(name, f"{service.url} is not an https address")


def _scheme_and_host(url: str) -> tuple[str, str] | None:
    """Return the two of an http or https address, None for anything else."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # half an IPv6 address, or a port that is no number
        return None
    return (parts.scheme, host) if parts.scheme in ("http", "https") and host else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _not_a_config(where: object, problem: str) -> MalformedFile:
    return MalformedFile(
        where, f"not a Sigstore trust configuration ({problem})", "ask who runs the instance for it"
    )
