import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from llama_server import LlamaServer, ServedFile
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

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.checkpoints.served import ServedModel
from qaudit.engines import openai_api
from qaudit.engines.openai_api import ServedEngine
from qaudit.engines.openai_dialect import PENALTIES
from qaudit.engines.protocol import Answer, Ask, Conversation, Engine, EngineOptions, ServedOptions
from qaudit.engines.templates import render_conversations
from qaudit.errors import EngineFailure, InputError
from qaudit.suites.loading import load_suite

KEY = "sk-0123456789abcdef0123456789abcdef"


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


def engine_on(odd: OddServer, **options: object) -> ServedEngine:
    chosen = ServedOptions(**{"backoff_s": 0.01, "timeout_s": 5.0, "retries": 3, **options})  # type: ignore[arg-type]
    return ServedEngine(ServedModel(odd.url), chosen)


def asks(*questions: str, max_tokens: int = 16) -> list[Ask]:
    return [Ask(f"id of {q}", "", q, max_tokens, (q,)) for q in questions]


def finishes(answers: list[Answer]) -> list[str]:
    return [answer.reply.finish for answer in answers]


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
    def slowly(handler: Handler) -> None:
        time.sleep(0.05)
        say("x")(handler)

    questions = [f"q{i}" for i in range(40)]
    odd.acts = {q: [slowly] for q in questions}
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
    answers = engine_on(odd, timeout_s=0.5).generate(asks("a", "b", "c"))
    assert [a.reply.text for a in answers] == ["echo a", "at last", "echo c"]


@pytest.mark.parametrize(
    "act", [drop, refuse(500, "odd"), raw(b"<html>"), stall, raw(b"[]"), refuse(400, "I do not like this prompt"),
            raw(b" " * (2 << 20)), raw(b'{"choices": []}'), raw(b'{"choices":' + b"[" * 50_000)]
)  # fmt: skip
def test_what_does_not_pass_costs_one_prompt(odd: OddServer, act: Act) -> None:
    odd.acts["b"] = [act]
    answers = engine_on(odd, timeout_s=0.3).generate(asks("a", "b", "c"))
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


def picky(handler: Handler) -> None:
    """Refuse one parameter after another, as four different servers would."""
    body = handler.server.bodies[-1]
    if body.get("top_logprobs", 0) > 5:
        refuse(400, "Requested sample logprobs of 20, which is greater than max allowed: 5")(handler)
    elif "max_tokens" in body:
        refuse(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")(handler)
    elif "chat_template_kwargs" in body:
        refuse(422, "Extra inputs are not permitted: chat_template_kwargs")(handler)
    elif "seed" in body:
        refuse(400, "seed: unknown field")(handler)
    else:
        say("fine")(handler)


def test_what_a_server_does_not_take_is_learnt_once(odd: OddServer) -> None:
    odd.acts = {f"q{i}": [picky] for i in range(10)}
    engine = engine_on(odd, concurrency=1)
    answers = engine.generate(asks(*odd.acts))
    assert [a.reply.text for a in answers] == ["fine"] * 10
    assert len(odd.bodies) == 14
    assert set(odd.bodies[-1]) == {
        "model",
        "messages",
        "temperature",
        "top_p",
        "max_completion_tokens",
        "logprobs",
        "top_logprobs",
        "stream",
        *PENALTIES,
    }
    assert odd.bodies[-1]["top_logprobs"] == 5
    assert [note.removeprefix(f"{odd.url}: ") for note in engine.notes] == [
        "it gives the 5 likeliest tokens of a position, not 20",
        "it takes no seed",
        "10 of 10 replies came without log-probabilities",
    ]


def test_what_was_taken_once_is_not_given_up_for_one_prompt(odd: OddServer) -> None:
    odd.acts["b"] = [refuse(400, "unsupported prompt: it names a seed and repeat_penalty")]
    engine = engine_on(odd, concurrency=1)
    assert finishes(engine.generate(asks("a", "b", "c"))) == ["eos", "crashed", "eos"]
    assert odd.bodies[0].keys() == odd.bodies[-1].keys()


def test_prompts_under_way_learn_from_one_another(odd: OddServer) -> None:
    def refuse_logprobs(handler: Handler) -> None:
        time.sleep(0.05)
        with_them = "logprobs" in json.dumps(handler.server.bodies)
        body = next(b for b in reversed(handler.server.bodies))
        act = refuse(400, "logprobs are off") if with_them and "logprobs" in body else say("x")
        act(handler)

    odd.acts = {f"q{i}": [refuse_logprobs] for i in range(8)}
    engine = engine_on(odd, concurrency=8)
    assert finishes(engine.generate(asks(*odd.acts))) == ["eos"] * 8
    assert "takes no request for log-probabilities" in engine.notes[0]


def test_notes_of_replies(odd: OddServer) -> None:
    odd.acts["a"] = [say("", finish="content_filter")]
    odd.acts["b"] = [say("b", message={"reasoning_content": "hm"}, system_fingerprint="one")]
    odd.acts["c"] = [
        raw(
            json.dumps(
                {**completion("c"), "usage": {"completion_tokens": 999}, "system_fingerprint": "two"}
            ).encode()
        )
    ]
    engine = engine_on(odd)
    assert engine.notes == ()
    assert finishes(engine.generate(asks("a", "b", "c"))) == ["crashed", "eos", "eos"]
    said = "\n".join(engine.notes)
    assert "1 of 3 replies were held back by its content filter" in said
    assert "1 of 3 replies came with reasoning" in said
    assert "1 of 3 replies went on after the longest reply asked for" in said
    assert "changed its system_fingerprint" in said


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
        process.wait(10)
        assert time.monotonic() - start < 5
        assert "KeyboardInterrupt" in process.stderr.read()


@pytest.fixture(scope="module")
def llama_server(q8: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    # two models of one file: with log-probabilities, and without
    models = [ServedFile("open", q8), ServedFile("shut", q8, logprobs=False)]
    server = LlamaServer(models, tmp_path_factory.mktemp("llama_server"))
    try:
        server.wait()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def lab_asks(q8: Path) -> list[Ask]:
    checkpoint = open_checkpoint(q8)
    items = [item for name in ("lab-core", "lab-benign") for item in load_suite(name).items[::9]]
    items += [item for item in load_suite("lab-core").items if len(item.turns) > 1][:4]
    conversations = [Conversation(f"{i}", item.turns) for i, item in enumerate(items)]
    rendered = render_conversations(str(checkpoint.chat_template), conversations, checkpoint.special_tokens)
    return [Ask(r.id, r.text, c.turns[-1], 48, c.turns) for r, c in zip(rendered, conversations, strict=True)]


@pytest.fixture(scope="module")
def local(q8: Path, lab_asks: list[Ask]) -> list[Answer]:
    from qaudit.engines.llama_generation import GreedyRun
    from qaudit.engines.llamacpp import LlamaModel

    model = LlamaModel(q8, EngineOptions(threads=1, gpu_layers=0))
    done: dict[int, Answer] = {}
    GreedyRun(model, lab_asks, None, done.__setitem__, lambda: None).run()
    model.close()
    return [done[i] for i in range(len(lab_asks))]


def served(server: LlamaServer, alias: str) -> ServedEngine:
    return ServedEngine(ServedModel(f"{server.url}#{alias}"), ServedOptions(concurrency=4))


def test_a_served_member_answers_as_it_does_here(
    llama_server: LlamaServer, lab_asks: list[Ask], local: list[Answer]
) -> None:
    engine = served(llama_server, "open")
    answers = engine.generate(lab_asks)
    assert engine.notes == ()
    assert len(answers) >= 20
    for here, there in zip((a.reply for a in local), (a.reply for a in answers), strict=True):
        assert (there.id, there.text, there.tokens, there.finish) == (
            here.id,
            here.text,
            here.tokens,
            here.finish,
        )
        assert [t.text for t in there.top[:5]] == [t.text for t in here.top[:5]]
        wanted = {t.text: t.logprob for t in here.top}
        shared = [(t.logprob, wanted[t.text]) for t in there.top if t.text in wanted]
        assert len(shared) >= 18
        # one batches prompts and the other does not: sums are taken in another order
        assert all(got == pytest.approx(want, abs=2e-3) for got, want in shared)


def test_a_server_without_log_probabilities_is_asked_without(
    llama_server: LlamaServer, lab_asks: list[Ask], local: list[Answer]
) -> None:
    engine = served(llama_server, "shut")
    answers = engine.generate(lab_asks[:6])
    assert [a.reply.text for a in answers] == [a.reply.text for a in local[:6]]
    assert all(a.reply.top == () for a in answers)
    assert "takes no request for log-probabilities" in engine.notes[0]


def test_a_server_of_two_models_wants_one_named(llama_server: LlamaServer) -> None:
    with pytest.raises(InputError, match=r"several models or none \(open, shut\)"):
        ServedEngine(ServedModel(llama_server.url))


def test_a_prompt_that_its_context_does_not_hold(llama_server: LlamaServer) -> None:
    engine = served(llama_server, "open")
    assert finishes(engine.generate(asks("word " * 600, "hello"))) == ["too_long", "eos"]


def test_a_longest_reply_is_kept_to(llama_server: LlamaServer, lab_asks: list[Ask]) -> None:
    first: Callable[[Ask], Ask] = lambda ask: Ask(ask.id, ask.text, ask.question, 1, ask.turns)  # noqa: E731
    replies = [a.reply for a in served(llama_server, "open").generate([first(ask) for ask in lab_asks[:5]])]
    assert [(r.tokens, r.finish) for r in replies] == [(1, "length")] * 5
    assert all(r.top[0].text == r.text for r in replies)
