"""transformers as the worker's engine: one folder, generation and scoring put together."""

from pathlib import Path

from qaudit.engines.local_model import ComposedModel, LocalModel
from qaudit.engines.protocol import EngineOptions
from qaudit.engines.transformers_generation import GreedyBatches
from qaudit.engines.transformers_model import TransformersModel
from qaudit.engines.transformers_scoring import read_passage, score_choices


def open_model(path: Path, weights: Path | None, options: EngineOptions) -> LocalModel:
    """Load a folder in Hugging Face layout, with its own weights or those of a GGUF.

    Raises:
        EngineFailure: it does not load.
    """
    return ComposedModel(
        TransformersModel(path, weights, options), GreedyBatches, score_choices, read_passage
    )
