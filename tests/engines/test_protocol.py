import dataclasses
import inspect

import pytest

from qaudit.confinement import Limits
from qaudit.engines.protocol import Ask, Engine, EngineOptions, crashed
from qaudit.engines.worker import WorkerEngine


def test_the_answer_to_a_prompt_that_was_not_evaluated_is_empty() -> None:
    answer = crashed("id")
    assert (answer.reply.id, answer.reply.text, answer.reply.tokens, answer.reply.top) == ("id", "", 0, ())
    assert answer.first_logprobs is None
    assert answer.reply.finish == "crashed"
    assert crashed("id", "too_long").reply.finish == "too_long"


def test_values_cannot_be_changed() -> None:
    for value, name in (
        (Ask("a", "b", "c", 1), "text"),
        (Limits(), "cpu_s"),
        (EngineOptions(threads=1), "threads"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)


def test_a_worker_is_an_engine() -> None:
    for name, member in inspect.getmembers(Engine, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(getattr(WorkerEngine, name)) == inspect.signature(member), name
    assert {"info", "vocabulary"} <= set(WorkerEngine.__annotations__)


def test_left_out_limits_bound_nothing_but_silence() -> None:
    assert dataclasses.asdict(Limits()) == {
        "memory_bytes": None,
        "cpu_s": None,
        "stall_s": 300.0,
        "wall_s": None,
        "gpu": False,
    }
