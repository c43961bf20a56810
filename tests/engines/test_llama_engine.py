from pathlib import Path

import pytest

from qaudit.engines.llama_engine import open_model
from qaudit.engines.llama_generation import GreedyRun
from qaudit.engines.llama_scoring import read_passage, score_choices
from qaudit.engines.llamacpp import LlamaModel
from qaudit.engines.protocol import Answer, Ask, ChoiceAsk, EngineOptions, PassageAsk
from qaudit.errors import EngineFailure

OPTIONS = EngineOptions(threads=1, parallel=2, judge=None)
ASKS = [Ask(q, f"<|bos|><|user|>{q}<|end|><|assistant|>", q, 12) for q in ("why", "how do i cook rice")]


def test_generation_and_scoring_are_those_of_llamacpp(f16: Path) -> None:
    engine, model = open_model(f16, None, OPTIONS), LlamaModel(f16, OPTIONS)
    got: dict[int, Answer] = {}
    expected: dict[int, Answer] = {}
    engine.generate(ASKS, None, got.__setitem__, lambda: None)
    GreedyRun(model, ASKS, None, expected.__setitem__, lambda: None).run()
    assert [got[i].reply for i in (0, 1)] == [expected[i].reply for i in (0, 1)]
    choice, passage = ChoiceAsk("c", ASKS[0].text, ("yes", "no")), PassageAsk("p", "the cat is here .", 2)
    assert engine.choose(choice, lambda: None) == score_choices(model, choice, lambda: None)
    read = engine.read(passage, lambda: None)
    assert read.logprobs.tobytes() == read_passage(model, passage, lambda: None).logprobs.tobytes()
    assert (engine.vocabulary, engine.info.name) == (model.vocabulary, "llama.cpp")
    model.close()


def test_a_gguf_runs_with_its_own_weights_only(f16: Path) -> None:
    with pytest.raises(EngineFailure, match="with its own weights only"):
        open_model(f16, f16, OPTIONS)
