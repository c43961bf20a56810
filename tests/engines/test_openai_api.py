import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engines.served_asks import asks, engine_on, finishes
from odd_server import (
    Act,
    Handler,
    OddServer,
    completion,
    drop,
    drop_halfway,
    list_models,
    odd_server,
    raw,
    refuse,
    say,
    stall,
)

from qaudit.checkpoints.served import ServedModel
from qaudit.engines import openai_api
from qaudit.engines.openai_api import ServedEngine
from qaudit.engines.protocol import Ask, Conversation, Engine
from qaudit.errors import EngineFailure, InputError

KEY = "sk-0123456789abcdef0123456789abcdef"


def test_it_is_an_engine_that_says_what_it_cannot_do(odd: OddServer) -> None:
    engine: Engine = engine_on(odd)
    assert (engine.vocabulary, engine.abilities, tuple(engine.held)) == (0, frozenset(), ())
    assert engine.info.name == "openai-api"
    assert engine.info.version.startswith("oddworks; BaseHTTP/")
    assert (engine.info.device, engine.info.threads, engine.info.build) == ("served", 0, f"{odd.url}#odd-1")
    rendered = engine.render("{{ no template }}", [Conversation("1", ("a", "b"))])
    assert [(r.id, r.text, r.error) for r in rendered] == [("1", "b", None)]
    with pytest.raises(EngineFailure, match="does not score"):
        engine.choose([])
    with pytest.raises(EngineFailure, match="does not read"):
        engine.read([])


def test_answers_come_in_the_order_of_the_asks_whatever_the_order_of_the_server(odd: OddServer) -> None:
    def late(handler: Handler) -> None:
        time.sleep(0.3)
        say("late")(handler)

    odd.acts["q0"] = [late]
    counts: list[int] = []
    answers = engine_on(odd).generate(asks(*(f"q{i}" for i in range(20))), counts.append)
    assert [a.reply.text for a in answers] == ["late", *(f"echo q{i}" for i in range(1, 20))]
    assert [a.reply.id for a in answers] == [f"id of q{i}" for i in range(20)]
    assert all(a.first_logprobs is None for a in answers)
    assert counts == list(range(1, 21))
    assert engine_on(odd).generate([]) == []


def test_so_many_prompts_are_under_way_and_no_more(odd: OddServer) -> None:
    def when_seven_are_here(handler: Handler) -> None:
        # however slow the machine is, nobody is answered before seven have asked at one time
        end = time.monotonic() + 60
        while odd.busiest < 7 and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.02)
        say("x")(handler)

    questions = [f"q{i}" for i in range(40)]
    odd.acts = {q: [when_seven_are_here] for q in questions}
    engine_on(odd, concurrency=7).generate(asks(*questions))
    assert odd.busiest == 7


def test_every_turn_is_sent(odd: OddServer) -> None:
    engine_on(odd).generate([Ask("1", "rendered", "two", 5, ("one", "two"))])
    body = odd.bodies[0]
    assert [m["content"] for m in body["messages"]] == ["one", "Okay.", "two"]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("odd-1", 5, 0)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    engine_on(odd, thinking=True).generate(asks("q"))
    assert "chat_template_kwargs" not in odd.bodies[1]


@pytest.mark.parametrize(
    "act", [drop, drop_halfway, refuse(500, "odd"), refuse(429, "busy", Retry_After="0"), raw(b"<html>"), stall,
            raw(json.dumps(completion("x", "abort")).encode()), raw(b'{"choices": [{"message": {"content": 7}}]}')]
)  # fmt: skip
def test_what_passes_is_not_seen(odd: OddServer, act: Act) -> None:
    odd.acts["b"] = [act, say("at last")]
    answers = engine_on(odd, timeout_s=1.5 if act is stall else 60.0).generate(asks("a", "b", "c"))
    assert [a.reply.text for a in answers] == ["echo a", "at last", "echo c"]


@pytest.mark.parametrize(
    "act", [drop, refuse(500, "odd"), raw(b"<html>"), stall, raw(b"[]"), refuse(400, "I do not like this prompt"),
            raw(b" " * (2 << 20)), raw(b'{"choices": []}'), raw(b'{"choices":' + b"[" * 50_000)]
)  # fmt: skip
def test_what_does_not_pass_costs_one_prompt(odd: OddServer, act: Act) -> None:
    odd.acts["b"] = [act]
    answers = engine_on(odd, timeout_s=1.0 if act is stall else 60.0).generate(asks("a", "b", "c"))
    assert finishes(answers) == ["eos", "crashed", "eos"]


def test_a_prompt_that_does_not_fit(odd: OddServer) -> None:
    odd.acts["b"] = [
        refuse(400, "This model's maximum context length is 512 tokens. Please reduce the length")
    ]
    odd.acts["c"] = [refuse(413, "")]
    assert finishes(engine_on(odd).generate(asks("a", "b", "c"))) == ["eos", "too_long", "too_long"]


def test_numbers_that_are_none(odd: OddServer) -> None:
    odd.acts["q"] = [
        raw(
            json.dumps(
                completion("x", logprobs={"content": [{"token": "x", "logprob": float("nan")}]})
            ).encode()
        )
    ]
    reply = engine_on(odd).generate(asks("q"))[0].reply
    assert (reply.text, reply.top, reply.finish) == ("x", (), "eos")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (refuse(401, "Incorrect API key"), "(401: Incorrect API key); put its key into the environment variable QAUDIT_API_KEY"),
        (refuse(403, ""), "put its key into the environment variable QAUDIT_API_KEY"),
        (refuse(404, "no such model"), "check the address (it often ends in /v1) and the model id (odd-1)"),
        (refuse(307, "", Location="https://evil.example/v1?x=y"), "it redirects to https://evil.example/v1?x=y; give that address if you trust it"),
        (refuse(418, "teapot\x1b[2J"), "is it an OpenAI-compatible endpoint?"),
    ],
)  # fmt: skip
def test_what_ends_it_is_one_line_with_address_and_mend(odd: OddServer, act: Act, message: str) -> None:
    odd.acts["b"] = [act]
    with pytest.raises(EngineFailure) as error:
        engine_on(odd).generate(asks("a", "b", "c"))
    assert message in str(error.value)
    assert str(error.value).startswith(odd.url)
    assert str(error.value).isprintable()
    assert len(odd.bodies) <= 3


@pytest.mark.parametrize("status", [401, 403, 307])
def test_a_server_that_refuses_at_once(odd: OddServer, status: int) -> None:
    odd.models = refuse(status, "no")
    with pytest.raises(EngineFailure, match=f"refuses \\({status}\\)"):
        engine_on(odd)


def test_the_key_is_in_no_message(odd: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QAUDIT_API_KEY", KEY)
    engine = engine_on(odd)
    messages = []
    for act in (
        refuse(401, f"Incorrect API key provided: {KEY}"),
        refuse(403, f"Bearer {KEY}"),
        refuse(404, KEY),
        refuse(307, KEY, Location=f"https://elsewhere/{KEY}"),
        refuse(418, KEY, Server=KEY),
    ):
        odd.acts["q"] = [act]
        with pytest.raises(EngineFailure) as error:
            engine.generate(asks("q"))
        messages.append(str(error.value))
    odd.acts = {f"q{i}": [refuse(500, KEY)] for i in range(20)}
    with pytest.raises(EngineFailure) as error:
        engine.generate(asks(*odd.acts))
    messages.append(str(error.value))
    odd.acts["q"] = [say(f"your key is {KEY}")]
    messages += [engine.generate(asks("q"))[0].reply.text, str(engine.info), str(engine.notes), repr(engine)]
    assert "is the key in QAUDIT_API_KEY the right one" in messages[0]
    assert all(KEY not in message for message in messages)
    assert all(headers["Authorization"] == f"Bearer {KEY}" for _, headers, _ in odd.asked)


def test_a_server_that_fails_on_everything_is_given_up(odd: OddServer) -> None:
    odd.acts = {f"q{i}": [refuse(500, "CUDA out of memory")] for i in range(100)}
    with pytest.raises(
        EngineFailure, match=r"failed on 16 prompts one after the other \(500: CUDA out of memory\)"
    ):
        engine_on(odd, concurrency=4).generate(asks(*odd.acts))
    assert len(odd.bodies) <= 4 * (16 + 4)


def test_answers_in_between_keep_it_going(odd: OddServer) -> None:
    odd.acts = {f"q{i}": [refuse(500, "odd")] if i % 2 else [say("x")] for i in range(60)}
    answers = engine_on(odd, concurrency=2, retries=0).generate(asks(*odd.acts))
    assert finishes(answers) == ["eos", "crashed"] * 30


def test_nobody_is_blamed_when_the_server_goes(odd: OddServer) -> None:
    engine = engine_on(odd)
    assert finishes(engine.generate(asks("a"))) == ["eos"]
    odd.shutdown()
    odd.server_close()
    with pytest.raises(EngineFailure, match=r"the server has gone .*; go on with --resume"):
        engine.generate(asks("b", "c"))


def test_nobody_there_is_one_line() -> None:
    with odd_server() as server:
        url = server.url
    with pytest.raises(EngineFailure, match="the server does not answer"):
        ServedEngine(ServedModel(url))


@pytest.mark.parametrize(
    ("models", "error", "message"),
    [
        (list_models("a", "b\x1b"), InputError, r"lists several models or none \(a, b.*name one as .*#MODEL"),
        (list_models(), InputError, r"several models or none \(none\)"),
        (refuse(404, ""), InputError, r"several models or none \(none\)"),
        (raw(b"<html>hello</html>"), EngineFailure, "what came is not JSON; is the address that of an OpenAI"),
        (raw(b"[" * 10_000), EngineFailure, "not JSON"),
        (raw(b'{"data": 3}'), EngineFailure, "list of models is not one"),
        (raw(b" " * (5 << 20)), EngineFailure, "longer than"),
        (list_models("m" * 300), InputError, "model id"),
    ],
)  # fmt: skip
def test_a_model_must_be_known(odd: OddServer, models: Act, error: type[Exception], message: str) -> None:
    odd.models = models
    with pytest.raises(error, match=message):
        engine_on(odd)


@pytest.mark.parametrize("models", [list_models("a", "b"), refuse(404, ""), raw(b"<html>"), refuse(500, "")])
def test_a_named_model_needs_no_list(odd: OddServer, models: Act) -> None:
    odd.models = models
    engine = ServedEngine(ServedModel(f"{odd.url}#mine"))
    engine.generate(asks("q"))
    assert odd.bodies[0]["model"] == "mine"
    assert engine.info.build == f"{odd.url}#mine"


def test_a_closed_engine_answers_nothing(odd: OddServer) -> None:
    engine = engine_on(odd)
    engine.close()
    engine.close()
    with pytest.raises(EngineFailure, match="closed"):
        engine.generate(asks("q"))


def test_options_that_make_no_sense(odd: OddServer) -> None:
    with pytest.raises(InputError, match="concurrency"):
        engine_on(odd, concurrency=0)


def test_an_interrupt_ends_it_at_once(odd: OddServer) -> None:
    odd.acts["q"] = [stall]
    code = (
        # tests that run in the background are told to ignore it, and so would this
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from qaudit.engines.openai_api import *\n"
        f"engine = ServedEngine(ServedModel({odd.url!r}))\n"
        "print('ready', flush=True)\n"
        "engine.generate([Ask(str(i), '', 'q', 4) for i in range(40)])\n"
    )
    root = Path(openai_api.__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        while odd.busy < 16:
            assert process.poll() is None
            time.sleep(0.02)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(300)
        finally:
            process.kill()
        assert time.monotonic() - start < 120
        assert "KeyboardInterrupt" in process.stderr.read()
