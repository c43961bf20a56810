"""Asking the services of a Sigstore instance: with a deadline, and one clear line when they fail.

The sigstore client waits for ever on a service that accepts a connection and says nothing, and its
errors have no common ancestor.
"""

from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from qaudit.errors import EnvironmentProblem

if TYPE_CHECKING:
    import requests

DEADLINE_S = 120.0
SHOWN = 300  # characters of what a service says
Answer = TypeVar("Answer")


def ask(what: str, service: str, call: Callable[[], Answer], secret: str = "") -> Answer:
    """Return what a call into the sigstore client returns, or say why there is no answer.

    Args:
        what: what was asked, after "could not ".
        service: who was asked, for messages.
        call: runs in another thread, which is left behind at the deadline.
        secret: text that must not get into a message, such as a token that a service repeats.

    Raises:
        EnvironmentProblem: no answer in time, no connection, a refusal, or an answer without sense.
    """
    failures: list[BaseException] = []
    pool = ThreadPool(1)
    try:
        result = pool.apply_async(call, error_callback=failures.append)
        result.wait(DEADLINE_S)
        if failures:
            raise _problem(what, service, _reason(failures[0], secret)) from failures[0]
        if not result.ready():
            raise _problem(what, service, f"no answer within {DEADLINE_S:g} s")
        return result.get()
    finally:
        pool.terminate()


def _reason(error: BaseException, secret: str) -> str:
    import requests
    from sigstore.errors import TUFError

    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        if isinstance(link, requests.ConnectionError | requests.Timeout):
            return f"{_host(link)} cannot be reached"
        if isinstance(link, requests.HTTPError) and link.response is not None:
            return _shown(
                f"{_host(link)} answers {link.response.status_code} {_words(link.response.text)}", secret
            )
        link = link.__cause__
    text = error.message if isinstance(error, TUFError) else str(error)
    return _shown(f"{type(error).__name__}: {text}" if text else type(error).__name__, secret)


def _host(error: "requests.RequestException") -> str:
    return urlsplit(str(error.request.url)).netloc if error.request is not None else "a service"


def _words(body: str) -> str:
    """Return the start of an answer's text, unless it is a page."""
    return "" if body.lstrip().startswith("<") else body


def _shown(text: str, secret: str) -> str:
    if secret:
        text = text.replace(secret, "***")
    return " ".join(text.split())[:SHOWN]


def _problem(what: str, service: str, reason: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"{service}: could not {what} ({reason}); nothing was written, check the network and try again"
    )
