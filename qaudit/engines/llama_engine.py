"""llama.cpp as the worker's engine: one GGUF, generation and scoring put together."""

from pathlib import Path

from qaudit.engines.llama_generation import GreedyRun
from qaudit.engines.llama_scoring import read_passage, score_choices
from qaudit.engines.llamacpp import LlamaModel
from qaudit.engines.local_model import ComposedModel, LocalModel
from qaudit.engines.protocol import EngineOptions
from qaudit.errors import EngineFailure


def open_model(path: Path, weights: Path | None, options: EngineOptions) -> LocalModel:
    """Load a GGUF.

    Raises:
        EngineFailure: llama.cpp refuses the file, or other weights are to take its place.
    """
    if weights is not None:
        raise EngineFailure(f"{path}: llama.cpp runs a GGUF with its own weights only")
    return ComposedModel(LlamaModel(path, options), GreedyRun, score_choices, read_passage)
