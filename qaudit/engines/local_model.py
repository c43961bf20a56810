"""What the worker process asks of a local engine, whichever library runs it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

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


class Held(Protocol):
    """A library's own model, whatever else it can do."""

    @property
    def info(self) -> EngineInfo:
        """What runs, in enough detail to repeat it."""
        ...

    @property
    def vocabulary(self) -> int:
        """Number of tokens V."""
        ...


class Run(Protocol):
    """One call of generate."""

    def run(self) -> None:
        """Answer everything."""
        ...


Model = TypeVar("Model", bound=Held)


class ComposedModel(Generic[Model]):
    """A `LocalModel` put together from one library's parts.

    Args:
        model: what they work on.
        begin: makes a run from (model, asks, decide, on_answer, on_step); see `LocalModel.generate`.
        score: see `LocalModel.choose`.
        read: see `LocalModel.read`.
    """

    def __init__(
        self,
        model: Model,
        begin: Callable[[Model, Sequence[Ask], Decider | None, OnAnswer, OnStep], Run],
        score: Callable[[Model, ChoiceAsk, OnStep], ChoiceScore],
        read: Callable[[Model, PassageAsk, OnStep], PassageScore],
    ) -> None:
        self._model, self._begin, self._score, self._read = model, begin, score, read
        self.info = model.info
        self.vocabulary = model.vocabulary

    def generate(
        self, asks: Sequence[Ask], decide: Decider | None, on_answer: OnAnswer, on_step: OnStep
    ) -> None:
        """Answer all asks."""
        self._begin(self._model, asks, decide, on_answer, on_step).run()

    def choose(self, ask: ChoiceAsk, on_step: OnStep) -> ChoiceScore:
        """Score the continuations of one prompt."""
        return self._score(self._model, ask, on_step)

    def read(self, ask: PassageAsk, on_step: OnStep) -> PassageScore:
        """Read one passage."""
        return self._read(self._model, ask, on_step)


class Opener(Protocol):
    """`open_model` of a module that runs checkpoints."""

    def __call__(self, path: Path, weights: Path | None, options: EngineOptions) -> LocalModel:
        """Load a checkpoint; `weights`, where given, take the place of those at `path`."""
        ...
