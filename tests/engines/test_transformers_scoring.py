"""Choices and passages against the plainest evaluation: the whole text at once, no cache."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hf_folders import write_folder
from transformers import AutoModelForCausalLM

from qaudit.engines import transformers_scoring
from qaudit.engines.logprobs import log_softmax
from qaudit.engines.protocol import ChoiceAsk, EngineOptions, FloatArray, PassageAsk
from qaudit.engines.replying import evenly_spaced
from qaudit.engines.transformers_model import TransformersModel
from qaudit.engines.transformers_scoring import read_passage, score_choices
from qaudit.errors import EngineFailure

OPTIONS = EngineOptions(
    threads=1, parallel=3, context_per_sequence=256, judge=None, device="cpu", dtype="float32"
)
PROMPT = "<|bos|><|user|>where does a fish live<|end|><|assistant|>"
CHOICES = ("in the water", "on a tree", "no", "it lives in the big house of my sister", "a")
PASSAGE = "the cat is on the table and the dog is in the garden . the rain falls on the roof . " * 6
# of log-probabilities in float32, from sums in another order
BOUND = 2e-4


def nothing() -> None:
    pass


@pytest.fixture(scope="module", params=["llama", "mistral"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("scoring") / request.param, request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> TransformersModel:
    return TransformersModel(folder, None, OPTIONS)


@pytest.fixture(scope="module")
def network(folder: Path) -> AutoModelForCausalLM:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def whole(network: AutoModelForCausalLM, tokens: list[int]) -> FloatArray:
    with torch.inference_mode():
        return log_softmax(network(torch.tensor([tokens]), use_cache=False).logits[0].numpy())


def test_choices_are_scored_as_one_by_one(model: TransformersModel, network: AutoModelForCausalLM) -> None:
    score = score_choices(model, ChoiceAsk("fish", PROMPT, CHOICES), nothing)
    prompt = model.tokens.prompt(PROMPT)
    for choice, logprob, count in zip(CHOICES, score.logprobs, score.tokens, strict=True):
        tokens = model.tokens.prompt(choice)
        rows = whole(network, prompt + tokens)[len(prompt) - 1 : -1]
        assert count == len(tokens)
        assert np.isclose(logprob, sum(rows[i, t] for i, t in enumerate(tokens)), atol=BOUND * count)


def test_order_and_company_change_no_score(model: TransformersModel) -> None:
    together = score_choices(model, ChoiceAsk("q", PROMPT, CHOICES), nothing)
    back = score_choices(model, ChoiceAsk("q", PROMPT, CHOICES[::-1]), nothing)
    np.testing.assert_allclose(together.logprobs, back.logprobs[::-1], atol=BOUND)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (ChoiceAsk("long", "why " * 400, ("a",)), "long: the question with its longest choice has"),
        (ChoiceAsk("none", PROMPT, ()), "none: needs at least one choice"),
        (ChoiceAsk("empty", PROMPT, ("a", "")), "empty: needs at least one choice"),
        (ChoiceAsk("blank", "", ("a",)), "blank: the question"),
    ],
    ids=lambda value: value.id if isinstance(value, ChoiceAsk) else "",
)
def test_choices_that_cannot_be_scored(model: TransformersModel, ask: ChoiceAsk, message: str) -> None:
    with pytest.raises(EngineFailure, match=message):
        score_choices(model, ask, nothing)


def test_a_passage_is_read_as_it_would_be_at_once(
    model: TransformersModel, network: AutoModelForCausalLM
) -> None:
    tokens = model.tokens.passage(PASSAGE)
    assert len(tokens) > transformers_scoring.READ_POSITIONS + 5
    score = read_passage(model, PassageAsk("p", PASSAGE, 5), nothing)
    rows = whole(network, tokens)[:-1]
    np.testing.assert_allclose(score.token_logprobs, rows[np.arange(len(rows)), tokens[1:]], atol=BOUND)
    np.testing.assert_allclose(score.logprobs, rows[evenly_spaced(len(rows), 5)], atol=BOUND)


@pytest.mark.parametrize(("text", "message"), [("", "at least two tokens"), ("why " * 400, "more than 256")])
def test_passages_that_cannot_be_read(model: TransformersModel, text: str, message: str) -> None:
    with pytest.raises(EngineFailure, match=message):
        read_passage(model, PassageAsk("p3", text, 4), nothing)


def test_every_step_is_a_sign_of_life(model: TransformersModel) -> None:
    steps: list[None] = []
    read_passage(model, PassageAsk("p", PASSAGE, 4), lambda: steps.append(None))
    assert len(steps) == -(-(len(model.tokens.passage(PASSAGE)) - 1) // transformers_scoring.READ_POSITIONS)
    score_choices(model, ChoiceAsk("q", PROMPT, CHOICES), lambda: steps.append(None))
    assert len(steps) > 3
