import json
import threading
import time
from collections.abc import Callable, Iterator

import anyio
import pytest
from odd_server import Act, Handler, OddServer, drop, odd_server, raw, refuse, say, stall

from qaudit.checkpoints.served import ServedModel
from qaudit.engines import openai_retries
from qaudit.engines.openai_replies import parsed
from qaudit.engines.openai_retries import GaveUp, Patience, Refused
from qaudit.engines.openai_transport import Transport
from qaudit.engines.protocol import ServedOptions

FINE = say("fine")


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


def fetch(
    odd: OddServer,
    *questions: str,
    retries: int = 6,
    timeout_s: float = 60.0,
    concerns_request: Callable[[str], bool] = lambda said: "seed" in said,
) -> list[str]:
    options = ServedOptions(retries=retries, backoff_s=0.01, timeout_s=timeout_s)
    transport = Transport(ServedModel(odd.url), options)
    patience = Patience(transport, options)
    texts: dict[str, str] = {}

    def text_of(body: bytes) -> str:
        return str(parsed(body)["choices"][0]["message"]["content"])

    async def all_of_them() -> None:
        async with transport.client() as client, anyio.create_task_group() as tasks:

            async def one(question: str) -> None:
                payload = json.dumps({"messages": [{"content": question}]}).encode()
                texts[question] = await patience.fetch(
                    client, "/chat/completions", payload, 1 << 16, text_of, concerns_request
                )

            for question in questions:
                tasks.start_soon(one, question)

    try:
        anyio.run(all_of_them)
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    return [texts[question] for question in questions]


@pytest.mark.parametrize(
    "act",
    [refuse(429, "slow down"), *(refuse(status, "odd") for status in (408, 500, 502, 503, 504, 529)), drop,
     raw(b"<html>what</html>"), raw(b"")],
)  # fmt: skip
def test_what_may_pass_is_tried_again(odd: OddServer, act: Act) -> None:
    odd.acts["q"] = [act, act, FINE]
    assert fetch(odd, "q") == ["fine"]
    assert len(odd.bodies) == 3


@pytest.mark.parametrize("status", [301, 307, 400, 401, 402, 403, 404, 405, 413, 422, 501])
def test_what_will_not_pass_is_not(odd: OddServer, status: int) -> None:
    odd.acts["q"] = [refuse(status, "no way", Location="https://elsewhere/")]
    with pytest.raises(Refused) as refusal:
        fetch(odd, "q")
    assert (refusal.value.status, refusal.value.said) == (status, "no way")
    assert refusal.value.location == "https://elsewhere/"
    assert len(odd.bodies) == 1


def test_a_crash_that_is_about_the_request_is_a_refusal(odd: OddServer) -> None:
    odd.acts["q"] = [refuse(500, "seed is not supported")]
    with pytest.raises(Refused, match="500: seed is not supported"):
        fetch(odd, "q")
    assert len(odd.bodies) == 1


def test_retries_end(odd: OddServer) -> None:
    odd.acts["q"] = [refuse(503, "down")]
    with pytest.raises(GaveUp, match="503: down"):
        fetch(odd, "q", retries=3)
    assert len(odd.bodies) == 4


@pytest.mark.parametrize("act", [stall, raw(b"garbage")])
def test_what_costs_much_is_tried_thrice_at_most(odd: OddServer, act: Act) -> None:
    odd.acts["q"] = [act]
    with pytest.raises(GaveUp):
        fetch(odd, "q", timeout_s=1.0 if act is stall else 60.0)
    assert len(odd.bodies) == 3


def test_a_hopeless_response_is_not_asked_for_again(odd: OddServer) -> None:
    odd.acts["q"] = [raw(b"x" * (1 << 17))]
    with pytest.raises(GaveUp, match="longer than"):
        fetch(odd, "q")
    assert len(odd.bodies) == 1


def test_a_busy_server_does_not_use_up_the_retries(odd: OddServer) -> None:
    odd.acts["q"] = [*[refuse(429, "busy")] * 5, FINE]
    assert fetch(odd, "q", retries=0) == ["fine"]


def test_a_server_that_is_busy_for_ever_is_left(odd: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_retries, "MAX_THROTTLED_S", 0.6)
    odd.acts["q"] = [refuse(429, "busy")]
    with pytest.raises(GaveUp, match="429: busy"):
        fetch(odd, "q")
    assert len(odd.bodies) > 2


def test_retry_after_is_honoured_by_all(odd: OddServer) -> None:
    told = threading.Event()
    at: dict[str, float] = {}

    def tell(handler: Handler) -> None:
        at["told"] = time.monotonic()
        refuse(429, "busy", Retry_After="1")(handler)
        told.set()

    def fail_later(handler: Handler) -> None:
        told.wait(120)
        time.sleep(0.4)
        refuse(500, "odd")(handler)

    def answer(handler: Handler) -> None:
        at[handler.body["messages"][-1]["content"]] = time.monotonic()
        FINE(handler)

    # b was told nothing, but does not press a server that asked for peace
    odd.acts = {"a": [tell, answer], "b": [fail_later, answer]}
    assert fetch(odd, "a", "b") == ["fine", "fine"]
    assert at.keys() == {"told", "a", "b"}
    assert all(at[name] - at["told"] >= 1.0 for name in "ab")


def test_retry_after_is_bounded(odd: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_retries, "MAX_RETRY_AFTER_S", 0.2)
    odd.acts["q"] = [refuse(503, "for a year", Retry_After="31536000"), FINE]
    start = time.monotonic()
    assert fetch(odd, "q") == ["fine"]
    assert 0.2 <= time.monotonic() - start < 300


def test_waits_double_and_differ() -> None:
    options = ServedOptions(backoff_s=1.0)
    patience = Patience(Transport(ServedModel("https://host"), options), options)
    for tries, longest in ((1, 1.0), (2, 2.0), (4, 8.0), (100, openai_retries.MAX_BACKOFF_S)):
        waits = {patience._backoff(tries) for _ in range(50)}
        assert all(longest / 2 <= wait <= longest for wait in waits)
        assert len(waits) > 10
