import threading
import time
from collections.abc import Callable

import pytest
import requests
from loopback_sigstore.faults import Answer
from loopback_sigstore.instance import LoopbackSigstore
from sigstore.errors import TUFError

from qaudit.attest import service_calls
from qaudit.attest.service_calls import ask
from qaudit.errors import EnvironmentProblem


def refuse(call: Callable[[], object], secret: str = "") -> str:
    with pytest.raises(EnvironmentProblem) as caught:
        ask("do it", "the instance", call, secret)
    message = str(caught.value)
    assert message.startswith("the instance: could not do it (")
    assert message.endswith("); nothing was written, check the network and try again")
    assert message.isprintable()
    return message


def failing(error: Exception) -> Callable[[], object]:
    def call() -> object:
        raise error

    return call


def test_an_answer_is_returned() -> None:
    assert ask("do it", "the instance", lambda: 7) == 7
    assert ask("do it", "the instance", lambda: None) is None


def test_silence_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_calls, "DEADLINE_S", 0.1)
    released = threading.Event()
    started = time.monotonic()
    assert "no answer within 0.1 s" in refuse(lambda: released.wait(600))
    assert time.monotonic() - started < 300
    released.set()


def test_who_cannot_be_reached_is_named(sigstore: LoopbackSigstore) -> None:
    sigstore.stop()
    host = sigstore.url.removeprefix("http://")
    assert f"({host} cannot be reached)" in refuse(lambda: requests.get(sigstore.url, timeout=120))


def test_a_refusal_is_repeated_without_the_secret(sigstore: LoopbackSigstore) -> None:
    sigstore.faults.answers["/x"] = Answer(403, b'{"message": "bad\ntoken s3cr3t"}')

    def call() -> object:
        with requests.get(sigstore.url + "/x", timeout=120) as reply:
            try:
                reply.raise_for_status()
            except requests.HTTPError as error:
                raise RuntimeError from error  # as the sigstore client does
        return None

    message = refuse(call, "s3cr3t")
    assert 'answers 403 {"message": "bad token ***"}' in message
    assert "s3cr3t" not in message


def test_a_page_is_not_repeated(sigstore: LoopbackSigstore) -> None:
    sigstore.faults.answers["/x"] = Answer(502, b"<html><body>bad gateway</body></html>", "text/html")

    def call() -> object:
        with requests.get(sigstore.url + "/x", timeout=120) as reply:
            reply.raise_for_status()
        return None

    assert "answers 502); nothing" in refuse(call)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (KeyError("chain"), "KeyError: 'chain'"),
        (ValueError("line one\nline two \x1b[31m"), "ValueError: line one line two"),
        (RuntimeError(), "(RuntimeError)"),
        (TUFError("no root"), "TUFError: no root"),
        (ValueError("x" * 9999), "ValueError: xxx"),
    ],
)
def test_what_the_client_trips_over_is_said_in_one_line(error: Exception, says: str) -> None:
    message = refuse(failing(error))
    assert says in message
    assert len(message) < 600
