"""Workers that misbehave as they are told (`fake_worker`), under real limits."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from odd_server import OddServer, odd_server

from qaudit.confinement import Limits
from qaudit.engines.process import WorkerProcess
from qaudit.engines.protocol import EngineOptions
from qaudit.engines.worker import WorkerEngine

TESTS = Path(__file__).parent.parent


class PatientlyStarted(WorkerEngine):
    """With some limits that count only once it runs: a busy machine may take longer than those to start it."""

    def __init__(self, path: Path, options: EngineOptions, limits: Limits, asked: dict[str, float]) -> None:
        self._starting, self._asked = limits, replace(limits, **asked)  # type: ignore[arg-type]
        super().__init__(path, options, limits, module="fake_worker")

    def _start(self) -> WorkerProcess:
        self._limits = self._starting
        process = super()._start()
        self._limits = process._limits = self._asked
        return process


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., WorkerEngine]]:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    opened: list[WorkerEngine] = []

    def started(
        name: str = "model", *, parallel: int = 4, asked: dict[str, float] | None = None, **limits: float
    ) -> WorkerEngine:
        options = EngineOptions(threads=1, parallel=parallel, judge=None)
        bounds = Limits(**{"stall_s": 120.0, **limits})  # type: ignore[arg-type]
        opened.append(PatientlyStarted(Path("/nowhere") / name, options, bounds, asked or {}))
        return opened[-1]

    yield started
    for engine in opened:
        engine.close()


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server
