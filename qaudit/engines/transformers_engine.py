"""transformers as the worker's engine: one folder, generation and scoring put together."""

from collections.abc import Sequence
from pathlib import Path

from qaudit.engines.local_model import OnAnswer, OnStep
from qaudit.engines.protocol import Ask, ChoiceAsk, ChoiceScore, EngineOptions, PassageAsk, PassageScore
from qaudit.engines.replying import Decider
from qaudit.engines.transformers_generation import GreedyBatches
from qaudit.engines.transformers_model import TransformersModel
from qaudit.engines.transformers_scoring import read_passage, score_choices


class TransformersEngine:
    """A `LocalModel` on transformers."""

    def __init__(self, model: TransformersModel) -> None:
        self._model = model
        self.info = model.info
        self.vocabulary = model.vocabulary

    def generate(
        self, asks: Sequence[Ask], decide: Decider | None, on_answer: OnAnswer, on_step: OnStep
    ) -> None:
        """Answer all asks."""
        GreedyBatches(self._model, asks, decide, on_answer, on_step).run()

    def choose(self, ask: ChoiceAsk, on_step: OnStep) -> ChoiceScore:
        """Score the continuations of one prompt."""
        return score_choices(self._model, ask, on_step)

    def read(self, ask: PassageAsk, on_step: OnStep) -> PassageScore:
        """Read one passage."""
        return read_passage(self._model, ask, on_step)


def open_model(path: Path, weights: Path | None, options: EngineOptions) -> TransformersEngine:
    """Load a folder in Hugging Face layout, with its own weights or those of a GGUF.

    Raises:
        EngineFailure: it does not load.
    """
    return TransformersEngine(TransformersModel(path, weights, options))
