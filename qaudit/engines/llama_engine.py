"""llama.cpp as the worker's engine: one GGUF, generation and scoring put together."""

from collections.abc import Sequence
from pathlib import Path

from qaudit.engines.llama_generation import GreedyRun
from qaudit.engines.llama_scoring import read_passage, score_choices
from qaudit.engines.llamacpp import LlamaModel
from qaudit.engines.local_model import OnAnswer, OnStep
from qaudit.engines.protocol import Ask, ChoiceAsk, ChoiceScore, EngineOptions, PassageAsk, PassageScore
from qaudit.engines.replying import Decider
from qaudit.errors import EngineFailure


class LlamaEngine:
    """A `LocalModel` on llama.cpp."""

    def __init__(self, model: LlamaModel) -> None:
        self._model = model
        self.info = model.info
        self.vocabulary = model.vocabulary

    def generate(
        self, asks: Sequence[Ask], decide: Decider | None, on_answer: OnAnswer, on_step: OnStep
    ) -> None:
        """Answer all asks."""
        GreedyRun(self._model, asks, decide, on_answer, on_step).run()

    def choose(self, ask: ChoiceAsk, on_step: OnStep) -> ChoiceScore:
        """Score the continuations of one prompt."""
        return score_choices(self._model, ask, on_step)

    def read(self, ask: PassageAsk, on_step: OnStep) -> PassageScore:
        """Read one passage."""
        return read_passage(self._model, ask, on_step)


def open_model(path: Path, weights: Path | None, options: EngineOptions) -> LlamaEngine:
    """Load a GGUF.

    Raises:
        EngineFailure: llama.cpp refuses the file, or other weights are to take its place.
    """
    if weights is not None:
        raise EngineFailure(f"{path}: llama.cpp runs a GGUF with its own weights only")
    return LlamaEngine(LlamaModel(path, options))
