"""Workers that misbehave as they are told (`fake_worker`), under real limits."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from odd_server import OddServer, odd_server

from qaudit.confinement import Limits
from qaudit.engines.protocol import EngineOptions
from qaudit.engines.worker import WorkerEngine

TESTS = Path(__file__).parent.parent


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., WorkerEngine]]:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    opened: list[WorkerEngine] = []

    def started(name: str = "model", *, parallel: int = 4, **limits: float) -> WorkerEngine:
        options = EngineOptions(threads=1, parallel=parallel, judge=None)
        bounds = Limits(**{"stall_s": 20.0, **limits})  # type: ignore[arg-type]
        opened.append(WorkerEngine(Path("/nowhere") / name, options, bounds, module="fake_worker"))
        return opened[-1]

    yield started
    for engine in opened:
        engine.close()


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server
