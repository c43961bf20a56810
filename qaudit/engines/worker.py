"""A local engine behind a limited process: started, watched, restarted, never trusted.

A worker that dies, hangs or overruns its limits is started again. The prompts that were under way
are then asked one at a time; one that kills the worker a second time is answered `crashed` and the
rest is done.
"""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from qaudit.confinement import Limits
from qaudit.engines import answers
from qaudit.engines.frames import Header
from qaudit.engines.process import Frame, WorkerDied, WorkerProcess
from qaudit.engines.protocol import (
    EVERY_ABILITY,
    Answer,
    Ask,
    ChoiceAsk,
    ChoiceScore,
    Conversation,
    EngineName,
    EngineOptions,
    FloatArray,
    PassageAsk,
    PassageScore,
    Progress,
    Rendered,
    crashed,
)
from qaudit.errors import EngineFailure, MissingExtra, OutOfMemory
from qaudit.values import EngineInfo

RENDER_WALL_S = 60.0
# an engine that fails on so many questions in a row, each asked alone, will not answer the rest either
HOPELESS_CRASHES = 16


# module that must be there, what pip calls it, and the extra that brings it
_NEEDED: dict[EngineName, tuple[tuple[str, str, str], ...]] = {
    "llama.cpp": (("llama_cpp", "llama-cpp-python", "gguf"),),
    "transformers": (
        ("torch", "torch", "hf"), ("transformers", "transformers", "hf"), ("tokenizers", "tokenizers", "hf"),
    ),
}  # fmt: skip


def require_engine(engine: EngineName) -> None:
    """Raise MissingExtra, before any work is done, where what the engine needs is not installed."""
    for module, package, extra in _NEEDED[engine]:
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(package, extra)


class WorkerEngine:
    """An Engine (see `protocol.Engine`) in a process of its own; for one thread at a time.

    Args:
        path: the checkpoint.
        options: how to run it.
        limits: bounds of the process.
        special_tokens: bos_token and the like, for the chat template.
        engine: which library runs it.
        weights: a GGUF whose decoded weights take the place of those at `path` (transformers only).
        module: what the process runs; it must speak `frames`.

    Raises:
        EngineFailure: the checkpoint does not load.
    """

    info: EngineInfo
    vocabulary: int
    abilities = EVERY_ABILITY
    notes: tuple[str, ...] = ()
    memory: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        path: Path,
        options: EngineOptions,
        limits: Limits,
        special_tokens: dict[str, str] | None = None,
        engine: EngineName = "llama.cpp",
        weights: Path | None = None,
        module: str = "qaudit.engines.worker_main",
    ) -> None:
        self._path = path
        self._options = options
        self._limits = limits
        self._special_tokens = special_tokens or {}
        self._engine = engine
        self._weights = weights
        self._module = module
        self._process: WorkerProcess | None = None
        self._closed = False
        self._failures = 0
        self.restarts = 0
        self.held: list[str] = []
        self._start()

    def _start(self) -> WorkerProcess:
        process = WorkerProcess(self._module, self._limits)
        self.held = process.held
        request = {
            "op": "load",
            "engine": self._engine,
            "path": str(self._path),
            "weights": str(self._weights) if self._weights else None,
            "options": asdict(self._options),
        }
        try:
            frames = [header for header, _ in process.call(request, self._limits.wall_s)]
            if len(frames) != 1:
                raise EngineFailure(f"{self._path}: the engine does not say what it has loaded")
            self.info, self.vocabulary = answers.loaded(frames[0])
        except WorkerDied as error:
            raise EngineFailure(f"{self._path}: the engine did not survive loading it ({error})") from error
        except BaseException:
            process.end()
            raise
        self._process = process
        return process

    def _ready(self) -> WorkerProcess:
        """Return a worker that waits for a request, started anew if need be.

        Raises:
            EngineFailure: the engine is closed, or the checkpoint does not load a second time.
        """
        if self._closed:
            raise EngineFailure(f"{self._path}: its engine is closed")
        if self._process is not None and self._process.busy:
            # an answer that nobody read to its end must not meet this question
            self._drop(self._process)
        if self._process is None:
            self.restarts += 1
            return self._start()
        return self._process

    def _drop(self, process: WorkerProcess) -> None:
        process.end()
        if self._process is process:
            self._process = None

    def _call(self, request: Header, wall_s: float | None = None) -> Iterator[Frame]:
        """Send a request; yield its frames until done.

        Raises:
            EngineFailure: the worker answered with an error (it lives on).
            WorkerDied: the worker is gone; it has been reaped.
        """
        process = self._ready()
        try:
            yield from process.call(request, wall_s or self._limits.wall_s)
        finally:
            # died, or interrupted, or whoever asked has gone
            if process.busy:
                self._drop(process)

    def _call_or_name_it(self, request: Header, failure: str, wall_s: float | None = None) -> Iterator[Frame]:
        try:
            yield from self._call(request, wall_s)
        except WorkerDied as error:
            raise EngineFailure(f"{self._path}: {failure} ({error})") from error

    def render(self, template: str, conversations: Sequence[Conversation]) -> list[Rendered]:
        """Apply a chat template in the sandbox inside the worker.

        Raises:
            EngineFailure: the template does not end within its limits.
        """
        request = {
            "op": "render",
            "template": template,
            "conversations": [asdict(c) for c in conversations],
            "special_tokens": self._special_tokens,
        }
        failure = "its chat template did not render within the limits"
        rendered: list[Rendered] = []
        for header, _ in self._call_or_name_it(request, failure, RENDER_WALL_S):
            rendered = answers.rendered(header, conversations)
        answers.require_all((c.id for c in conversations), len(rendered))
        return rendered

    def generate(self, asks: Sequence[Ask], progress: Progress | None = None) -> list[Answer]:
        """Answer all asks; those that kill the worker twice are `crashed`.

        Raises:
            OutOfMemory: so many at once do not fit.
            EngineFailure: the worker cannot be started again, or dies on whatever it is asked.
        """
        done: dict[int, Answer] = {}
        waiting = list(range(len(asks)))
        while waiting:
            self._ready()
            try:
                self._generate_batch(asks, waiting, done, progress)
            except OutOfMemory:
                # one at a time it would go on, many times slower and without a word
                raise
            except EngineFailure:
                unanswered = [i for i in waiting if i not in done]
                # in llama.cpp's order of admission no more than these can have been under way; transformers
                # takes the longest first, and there the next round finds the others
                suspects, waiting = unanswered[: self._options.parallel], unanswered[self._options.parallel :]
                self._generate_alone(asks, suspects, done, progress)
            else:
                waiting = []
        return [done[i] for i in range(len(asks))]

    def _generate_alone(
        self, asks: Sequence[Ask], suspects: list[int], done: dict[int, Answer], progress: Progress | None
    ) -> None:
        for index in suspects:
            self._ready()
            try:
                self._generate_batch(asks, [index], done, progress)
            except EngineFailure as error:
                done[index] = crashed(asks[index].id)
                if progress:
                    progress(len(done))
                self._count_failure(error)

    def _count_failure(self, error: EngineFailure) -> None:
        self._failures += 1
        if self._failures >= HOPELESS_CRASHES:
            raise EngineFailure(
                f"{self._path}: the engine failed on {self._failures} question(s) one after the other "
                f"({error}); try other --parallel or --threads, or download the file again"
            ) from error

    def _generate_batch(
        self, asks: Sequence[Ask], wanted: list[int], done: dict[int, Answer], progress: Progress | None
    ) -> None:
        request = {"op": "generate", "asks": [asdict(asks[i]) for i in wanted]}
        for header, payload in self._call(request):
            index = wanted[answers.answer_index(header, len(wanted))]
            done[index] = answers.answer(header, payload, asks[index], self.vocabulary)
            self._failures = 0
            if progress:
                progress(len(done))
        answers.require_all((asks[i].id for i in wanted if i not in done), 0)

    def choose(self, asks: Sequence[ChoiceAsk]) -> list[ChoiceScore]:
        """Score continuations; an ask that does not fit or kills the worker twice has an empty score.

        Raises:
            EngineFailure: the worker cannot be started again, or fails on whatever it is asked.
        """
        scores: list[ChoiceScore] = []
        try:
            self._choose(asks, scores)
        except EngineFailure:
            for ask in asks[len(scores) :]:
                self._ready()
                try:
                    self._choose([ask], scores)
                except EngineFailure as error:
                    scores.append(ChoiceScore(ask.id, (), ()))
                    self._count_failure(error)
        return scores

    def _choose(self, asks: Sequence[ChoiceAsk], scores: list[ChoiceScore]) -> None:
        waiting = list(asks)
        for header, _ in self._call({"op": "choose", "asks": [asdict(a) for a in asks]}):
            if waiting:
                scores.append(answers.choice(header, waiting.pop(0)))
                self._failures = 0
        answers.require_all((a.id for a in waiting), 0)

    def read(self, asks: Sequence[PassageAsk]) -> Iterator[PassageScore]:
        """Read passages one by one; one that does not fit or kills the worker has an empty score.

        Raises:
            EngineFailure: the worker cannot be started again, or fails on whatever it is asked.
        """
        for ask in asks:
            try:
                score = self._read(ask)
            except EngineFailure:
                self._ready()
                try:
                    score = self._read(ask)
                except EngineFailure as error:
                    score = PassageScore(
                        ask.id, np.empty(0, np.float32), np.empty((0, self.vocabulary), np.float32)
                    )
                    self._count_failure(error)
            yield score

    def _read(self, ask: PassageAsk) -> PassageScore:
        tokens: FloatArray | None = None
        score: PassageScore | None = None
        for header, payload in self._call({"op": "read", "asks": [asdict(ask)]}):
            if header.get("kind") == "tokens":
                tokens = payload
            elif score is None:
                score = answers.passage(header, tokens, payload, ask, self.vocabulary)
        if score is None:
            raise EngineFailure(f"the worker left {ask.id} open")
        self._failures = 0
        return score

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Do nothing: a worker has no `memory`, for it answers from a clean state each time."""

    def close(self) -> None:
        """End the worker process; may be called again."""
        self._closed = True
        if self._process is not None:
            self._drop(self._process)
