"""The engine on a real server: replies and figures are those of the same file run here."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engines.served_asks import asks, finishes
from llama_server import LlamaServer, ServedFile

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.checkpoints.served import ServedModel
from qaudit.engines.openai_api import ServedEngine
from qaudit.engines.protocol import Answer, Ask, Conversation, EngineOptions, ServedOptions
from qaudit.engines.templates import render_conversations
from qaudit.errors import InputError
from qaudit.suites.loading import load_suite


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
