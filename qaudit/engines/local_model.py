"""What the worker process asks of a local engine, whichever library runs it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from qaudit.engines.protocol import (
    Answer,
    Ask,
    ChoiceAsk,
    ChoiceScore,
    EngineOptions,
    PassageAsk,
    PassageScore,
)
from qaudit.engines.replying import Decider
from qaudit.values import EngineInfo

OnAnswer = Callable[[int, Answer], None]
OnStep = Callable[[], None]


class LocalModel(Protocol):
    """A checkpoint that is loaded in this very process; methods raise EngineFailure.

    `on_step` is called after every evaluation, as a sign of life.
    """

    @property
    def info(self) -> EngineInfo:
        """What runs, in enough detail to repeat it."""
        ...

    @property
    def vocabulary(self) -> int:
        """Number of tokens V."""
        ...

    def generate(
        self, asks: Sequence[Ask], decide: Decider | None, on_answer: OnAnswer, on_step: OnStep
    ) -> None:
        """Answer all asks; `on_answer` gets (index, answer) as each is done."""
        ...

    def choose(self, ask: ChoiceAsk, on_step: OnStep) -> ChoiceScore:
        """Score the continuations of one prompt."""
        ...

    def read(self, ask: PassageAsk, on_step: OnStep) -> PassageScore:
        """Read one passage."""
        ...


class Opener(Protocol):
    """`open_model` of a module that runs checkpoints."""

    def __call__(self, path: Path, weights: Path | None, options: EngineOptions) -> LocalModel:
        """Load a checkpoint; `weights`, where given, take the place of those at `path`."""
        ...
