from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import numpy as np
import pytest

from qaudit.engines import llamacpp
from qaudit.engines.llama_generation import GreedyRun
from qaudit.engines.llamacpp import LlamaModel
from qaudit.engines.protocol import Answer, Ask, EngineOptions
from qaudit.engines.replying import shared_prefix
from qaudit.values import Label

VERBS, THINGS = (
    ("plant", "cook", "clean", "paint", "carry"),
    ("a tree", "rice", "my room", "the fence", "two bags"),
)
QUESTIONS = [f"how do i {verb} {thing}" for verb in VERBS for thing in THINGS]


def ask(question: str, max_tokens: int = 24) -> Ask:
    return Ask(question, f"<|bos|><|user|>{question}<|end|><|assistant|>", question, max_tokens)


@pytest.fixture(scope="module")
def model(f16: Path) -> Iterator[LlamaModel]:
    opened = LlamaModel(f16, EngineOptions(threads=1, parallel=8, judge=None))
    yield opened
    opened.close()


def run(model: LlamaModel, asks: list[Ask], decide: object = None) -> list[Answer]:
    answers: dict[int, Answer] = {}
    GreedyRun(model, asks, decide, answers.__setitem__, lambda: None).run()  # type: ignore[arg-type]
    return [answers[i] for i in range(len(asks))]


def test_replies_are_those_of_the_plain_llama_class(model: LlamaModel, f16: Path) -> None:
    peer = llama_cpp.Llama(
        str(f16), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False, logits_all=True
    )
    try:
        for answer, question in zip(run(model, [ask(q) for q in QUESTIONS]), QUESTIONS, strict=True):
            tokens = peer.tokenize(ask(question).text.encode(), add_bos=False, special=True)
            said = peer.create_completion(tokens, max_tokens=24, temperature=0.0, top_k=1, repeat_penalty=1.0)
            assert answer.reply.text == said["choices"][0]["text"]  # type: ignore[index]
    finally:
        peer.close()


def test_one_at_a_time_gives_the_same_replies(model: LlamaModel) -> None:
    together = [a.reply.text for a in run(model, [ask(q) for q in QUESTIONS])]
    alone = [run(model, [ask(q)])[0].reply.text for q in QUESTIONS]
    assert together == alone


def test_the_same_call_gives_identical_bits(model: LlamaModel) -> None:
    asks = [ask(q) for q in QUESTIONS]
    for first, second in zip(run(model, asks), run(model, asks), strict=True):
        assert first.reply == second.reply
        assert first.first_logprobs is not None
        assert second.first_logprobs is not None
        assert first.first_logprobs.tobytes() == second.first_logprobs.tobytes()


def test_first_position_is_a_distribution_with_its_top(model: LlamaModel) -> None:
    answer = run(model, [ask(QUESTIONS[0])])[0]
    assert answer.first_logprobs is not None
    assert answer.first_logprobs.shape == (model.vocabulary,)
    np.testing.assert_allclose(np.exp(answer.first_logprobs.astype(np.float64)).sum(), 1, rtol=1e-5)
    assert answer.reply.top[0].token == int(answer.first_logprobs.argmax())
    assert [t.logprob for t in answer.reply.top] == sorted(
        (t.logprob for t in answer.reply.top), reverse=True
    )
    assert len(answer.reply.top) == 20


def test_shared_prefix_is_evaluated_once(model: LlamaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    fed = []
    add = LlamaModel.add
    monkeypatch.setattr(
        LlamaModel,
        "add",
        lambda self, tokens, *a, **k: (fed.append(len(tokens)), add(self, tokens, *a, **k))[1],
    )
    long = "<|bos|><|user|>" + "the lake is calm and the sky is blue . " * 6
    asks = [Ask(q, f"{long}{q}<|end|><|assistant|>", q, 1) for q in QUESTIONS]
    run(model, asks)
    prompts = [len(model.tokenize(a.text)) for a in asks]
    shared = shared_prefix([model.tokenize(a.text) for a in asks])
    assert shared > 50
    assert sum(fed) == sum(prompts) - shared * (len(asks) - 1)


def test_prompts_longer_than_a_batch_are_split(model: LlamaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    long = ask("tell me about " + "a long walk by the river and the old town " * 8, 8)
    whole = run(model, [long, ask(QUESTIONS[0], 8)])
    monkeypatch.setattr(llamacpp, "BATCH_TOKENS", 32)
    monkeypatch.setattr(LlamaModel, "room", property(lambda self: 32 - self._filled))
    split = run(model, [long, ask(QUESTIONS[0], 8)])
    assert [a.reply.text for a in split] == [a.reply.text for a in whole]


def test_limits(model: LlamaModel) -> None:
    short, too_long = run(model, [ask(QUESTIONS[0], 3), ask("word " * 600)])
    assert (short.reply.finish, short.reply.tokens) == ("length", 3)
    assert (too_long.reply.finish, too_long.reply.text, too_long.first_logprobs) == ("too_long", "", None)
    assert run(model, [ask(QUESTIONS[0], 64)])[0].reply.finish == "eos"


def test_early_stop_sees_question_text_and_count(model: LlamaModel) -> None:
    seen: list[tuple[str, str, int]] = []

    def decide(question: str, text: str, tokens: int) -> Label | None:
        seen.append((question, text, tokens))
        return "compliance" if tokens >= 16 else None

    answer = run(model, [ask(QUESTIONS[3], 64)], decide)[0]
    assert answer.reply.finish == "decided"
    assert answer.reply.tokens == 16
    assert [(q, n) for q, _, n in seen] == [(QUESTIONS[3], 8), (QUESTIONS[3], 16)]
    assert answer.reply.text.startswith(seen[0][1])


def test_early_stop_reads_what_the_reply_will_hold(
    model: LlamaModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # characters of two bytes, one byte a token, and bytes that are no text at all
    stream = "é".encode() * 4 + b"\xff" + "é".encode() * 8
    # tokenizing the prompt looks at one piece too, to see whether the text opens with BOS
    pieces = iter([b"<|bos|>", *(stream[i : i + 1] for i in range(len(stream))), *[b""] * 99])
    monkeypatch.setattr(type(model), "piece", lambda _self, _token: next(pieces))
    seen: list[str] = []

    def decide(_question: str, text: str, tokens: int) -> Label | None:
        seen.append(text)
        return "incoherent" if tokens == 16 else None

    answer = run(model, [ask(QUESTIONS[0])], decide)[0]
    assert seen == ["éééé", "éééé\ufffdééé"]
    assert (answer.reply.finish, answer.reply.text) == ("decided", seen[-1])


def test_more_prompts_than_sequences_keep_their_order(model: LlamaModel) -> None:
    assert [a.reply.id for a in run(model, [ask(q, 2) for q in QUESTIONS])] == QUESTIONS
    assert run(model, []) == []
