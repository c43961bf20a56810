from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qaudit.engines import llama_scoring
from qaudit.engines.llama_scoring import read_passage, score_choices
from qaudit.engines.llamacpp import LlamaModel
from qaudit.engines.logprobs import log_softmax
from qaudit.engines.protocol import ChoiceAsk, EngineOptions, FloatArray, PassageAsk
from qaudit.engines.replying import evenly_spaced
from qaudit.errors import EngineFailure

# what other company in a batch may change: llama.cpp then sums in another order
BOUND = 1e-3
# llama.cpp multiplies a batch of one token by other code, which rounds otherwise: measured 4e-3 at the
# unlikeliest tokens of the lab's F16 (log-probability -16), 3e-4 in probability
SINGLE_TOKEN_BOUND = 1e-2
PROMPT = "<|bos|><|user|>where does the fish live<|end|><|assistant|>"
CHOICES = ("in the lake", "in", "on the roof of the old house", "to plant a tree you need")
PASSAGE = "the lake is calm and the sky is blue . the old man walks to the river with two bags of rice . " * 2


@pytest.fixture(scope="module")
def model(f16: Path) -> Iterator[LlamaModel]:
    opened = LlamaModel(f16, EngineOptions(threads=1, parallel=3, judge=None))
    yield opened
    opened.close()


def nothing() -> None:
    pass


def naive(model: LlamaModel, tokens: list[int], at_once: int = 256) -> FloatArray:
    """Feed tokens into an empty sequence; log-probabilities after each of them, [T, V]."""
    model.reserve(len(tokens))
    rows = []
    model.clear()
    for start in range(0, len(tokens), at_once):
        model.add(tokens[start : start + at_once], start, 2, logits="all")
        rows.append(log_softmax(model.decode()))
    return np.concatenate(rows)


def naive_choice(model: LlamaModel, prompt: str, choice: str) -> float:
    before, after = model.tokenize(prompt), model.tokenize_continuation(choice)
    rows = naive(model, before + after)
    return sum(float(rows[len(before) + i - 1, token]) for i, token in enumerate(after))


def test_choices_are_scored_as_one_by_one(model: LlamaModel) -> None:
    # more choices than sequences, so they go in waves
    many = CHOICES + tuple(f"{choice} today" for choice in CHOICES)
    score = score_choices(model, ChoiceAsk("fish", PROMPT, many), nothing)
    assert score.id == "fish"
    assert score.tokens == tuple(len(model.tokenize_continuation(choice)) for choice in many)
    expected = [naive_choice(model, PROMPT, choice) for choice in many]
    np.testing.assert_allclose(score.logprobs, expected, atol=BOUND)
    assert len(set(score.logprobs)) == len(many)


def test_a_long_prompt_and_long_choices_go_in_pieces(
    model: LlamaModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # sizes that leave no last piece of one token, for which SINGLE_TOKEN_BOUND would hold
    fed = [len(model.tokenize_continuation(choice)) - 1 for choice in CHOICES]
    prompt = len(model.tokenize(PASSAGE + PROMPT))
    room = next(size for size in range(16, 32) if prompt % size > 1)
    positions = next(size for size in range(3, 16) if all(count % size != 1 for count in fed))
    assert max(fed) > positions
    monkeypatch.setattr(LlamaModel, "room", property(lambda self: room - self._filled))
    monkeypatch.setattr(llama_scoring, "READ_POSITIONS", positions)
    score = score_choices(model, ChoiceAsk("q", PASSAGE + PROMPT, CHOICES), nothing)
    monkeypatch.undo()
    expected = [naive_choice(model, PASSAGE + PROMPT, choice) for choice in CHOICES]
    np.testing.assert_allclose(score.logprobs, expected, atol=BOUND)


def test_one_sequence_is_enough(f16: Path, model: LlamaModel) -> None:
    single = LlamaModel(f16, EngineOptions(threads=1, parallel=1, judge=None))
    asks = [ChoiceAsk("a", PROMPT, CHOICES), ChoiceAsk("b", PROMPT, CHOICES[:1])]
    for one, other in zip(
        [score_choices(single, a, nothing) for a in asks],
        [score_choices(model, a, nothing) for a in asks],
        strict=True,
    ):
        assert one.id == other.id
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=BOUND)
    single.close()


def test_asks_do_not_depend_on_each_other(model: LlamaModel) -> None:
    asks = [ChoiceAsk("a", PROMPT, CHOICES), ChoiceAsk("b", "<|bos|>the sky is", ("blue", "calm"))]
    together = [score_choices(model, ask, nothing) for ask in asks]
    assert together[::-1] == [score_choices(model, ask, nothing) for ask in asks[::-1]]


def test_every_step_is_a_sign_of_life(model: LlamaModel) -> None:
    steps: list[None] = []
    score_choices(model, ChoiceAsk("a", PROMPT, ("in", "on")), lambda: steps.append(None))
    assert len(steps) == 1
    read_passage(model, PassageAsk("p", PASSAGE, 4), lambda: steps.append(None))
    assert len(steps) == 1 + -(-(len(model.tokenize(PASSAGE)) - 1) // llama_scoring.READ_POSITIONS)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (ChoiceAsk("q7", PROMPT, ()), "q7: needs at least one choice"),
        (ChoiceAsk("q7", PROMPT, ("in", "")), "q7: needs at least one choice, and none empty"),
        (
            ChoiceAsk("q7", "word " * 9000, ("in",)),
            r"q7: the question .* has \d+ tokens, more than \d+; shorten",
        ),
        (
            ChoiceAsk("q7", PROMPT, ("word " * 9000,)),
            r"q7: the question .* has \d+ tokens, more than \d+; shorten",
        ),
    ],
)
def test_choices_that_cannot_be_scored(model: LlamaModel, ask: ChoiceAsk, message: str) -> None:
    with pytest.raises(EngineFailure, match=message):
        score_choices(model, ask, nothing)


def test_a_passage_is_read_as_it_would_be_naively(model: LlamaModel) -> None:
    tokens = model.tokenize(PASSAGE)
    score = read_passage(model, PassageAsk("p", PASSAGE, 5), nothing)
    rows = naive(model, tokens)[:-1]
    single = naive(model, tokens, at_once=1)[:-1]
    assert score.token_logprobs.shape == (len(tokens) - 1,)
    np.testing.assert_allclose(score.token_logprobs, rows[np.arange(len(rows)), tokens[1:]], atol=BOUND)
    np.testing.assert_allclose(
        score.token_logprobs, single[np.arange(len(rows)), tokens[1:]], atol=SINGLE_TOKEN_BOUND
    )
    kept = evenly_spaced(len(rows), 5)
    assert score.logprobs.shape == (5, model.vocabulary)
    np.testing.assert_allclose(np.exp(score.logprobs), np.exp(rows[kept]), atol=BOUND)
    # rows of their own, not views that keep whole blocks alive
    assert score.logprobs.base is None


def test_blocks_do_not_change_a_passage(model: LlamaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_passage(model, PassageAsk("p", PASSAGE, 1000), nothing)
    assert len(whole.logprobs) == len(whole.token_logprobs)
    monkeypatch.setattr(llama_scoring, "READ_POSITIONS", 7)
    split = read_passage(model, PassageAsk("p", PASSAGE, 1000), nothing)
    np.testing.assert_allclose(split.token_logprobs, whole.token_logprobs, atol=BOUND)


@pytest.mark.parametrize(
    ("text", "message"), [("", "at least two tokens"), ("word " * 9000, r"\d+ tokens, more than \d+")]
)
def test_passages_that_cannot_be_read(model: LlamaModel, text: str, message: str) -> None:
    with pytest.raises(EngineFailure, match=f"p3: .*{message}"):
        read_passage(model, PassageAsk("p3", text, 4), nothing)


@pytest.mark.parametrize("at_once", [2, 10, 33, 64])
def test_the_size_of_a_batch_changes_no_bit(model: LlamaModel, at_once: int) -> None:
    tokens = model.tokenize(PASSAGE + PROMPT)
    # no last batch of one token, see SINGLE_TOKEN_BOUND
    tokens = tokens[: len(tokens) - 2 * (len(tokens) % at_once == 1)]
    assert len(tokens) > at_once
    assert naive(model, tokens, at_once).tobytes() == naive(model, tokens).tobytes()
