"""Where the identity token for keyless signing comes from; it is a secret until it expires.

A file or the environment keeps it out of process lists. Nothing here prints a token, and no message
holds one.
"""

import os
import re
from pathlib import Path
from typing import TextIO

from qaudit.attest.service_calls import ask
from qaudit.attest.sigstore_trust import SigstoreTrust, require_sigstore
from qaudit.errors import EnvironmentProblem, InputError
from qaudit.files import read_bounded

TOKEN_VARIABLE = "SIGSTORE_ID_TOKEN"  # noqa: S105  (a name, not a token)
TOKEN_LIMIT = 64 << 10
# three parts in base64url: https://www.rfc-editor.org/rfc/rfc7519
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def given_token(given: str, standard_input: TextIO) -> str:
    """Return the token that an option gives: a file's path, `-` for standard input, or the token itself.

    Raises:
        InputError: it is none of these; what was given is not repeated, as it may be a secret.
    """
    if given == "-":
        text = standard_input.read(TOKEN_LIMIT + 1).strip()
        source = "standard input"
    elif _TOKEN.fullmatch(given) and not _is_file(given):
        return given
    elif _is_file(given):
        text = _decoded(read_bounded(Path(given), TOKEN_LIMIT)).strip()
        source = given
    else:
        raise InputError(
            "--identity-token: neither a file nor a token; give the file that holds the token, or set"
            f" {TOKEN_VARIABLE}"
        )
    return _checked(text, source)


def token_from_environment() -> str | None:
    """Return the token in SIGSTORE_ID_TOKEN, None where the variable is not set or empty.

    Raises:
        InputError: what it holds is no token.
    """
    text = os.environ.get(TOKEN_VARIABLE, "").strip()
    return _checked(text, TOKEN_VARIABLE) if text else None


def ambient_token() -> str | None:
    """Return the token that this machine's CI system or cloud hands out, None where there is no such.

    Raises:
        EnvironmentProblem: there is one, but it refuses; for GitHub Actions that is mostly the missing
            permission `id-token: write`.
    """
    require_sigstore()
    from sigstore.oidc import IdentityError, detect_credential

    try:
        return detect_credential()
    except IdentityError as error:
        raise EnvironmentProblem(
            f"the CI system hands out no identity token ({error}); in GitHub Actions the job needs"
            " permissions: id-token: write, elsewhere see the system's guide to OpenID Connect"
        ) from error


def browser_token(trust: SigstoreTrust) -> str:
    """Return a token for the person at this terminal, who logs in with a browser.

    Raises:
        EnvironmentProblem: the instance's issuer does not answer or refuses.
        InputError: the instance names no issuer.
    """
    require_sigstore()
    from sigstore.errors import Error
    from sigstore.oidc import Issuer

    if trust.signing_config is None or not trust.signing_config.oidc_urls:
        raise InputError(f"{trust.name}: names no issuer to log in with; give --identity-token")
    url = _issuer_url(trust)
    issuer = ask("find the login page", url, lambda: Issuer(url))
    try:
        return str(issuer.identity_token())
    except (Error, OSError, ValueError, LookupError) as error:
        # without the cause, which may hold parts of the conversation
        raise EnvironmentProblem(f"{url}: the login failed ({error}); try again") from None


def _issuer_url(trust: SigstoreTrust) -> str:
    from sigstore.errors import Error
    from sigstore.models import SigningConfig

    if trust.signing_config is None:
        raise InputError(f"{trust.name}: names no services")
    try:
        return SigningConfig(trust.signing_config).get_oidc_url()
    except (Error, ValueError) as error:
        raise InputError(f"{trust.name}: names no issuer to log in with ({error})") from error


def _is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # too long for a name, or a NUL in it
        return False


def _decoded(data: bytes) -> str:
    return data.decode("ascii", errors="replace")


def _checked(text: str, source: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise InputError(f"{source}: holds no identity token; ask the issuer for one (audience: sigstore)")
    return text
