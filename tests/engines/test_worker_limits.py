import time
from collections.abc import Callable

import pytest

from qaudit.engines import worker
from qaudit.engines.protocol import Ask, ChoiceAsk
from qaudit.engines.worker import WorkerEngine
from qaudit.errors import EngineFailure

Start = Callable[..., WorkerEngine]


def asks(*texts: str) -> list[Ask]:
    return [Ask(f"id of {text}", text, text, 4) for text in texts]


@pytest.mark.parametrize(
    ("culprit", "asked"),
    [
        ("segfault", {}),
        ("hang", {"stall_s": 3.0}),
        ("allocate 9000000000", {}),
        ("garbage", {}),
        ("cut-off", {}),
        ("flood", {"wall_s": 1.5}),
        ("dribble", {"wall_s": 1.5}),
        ("orphan", {}),
        ("complain", {}),
        ("skip", {}),
        ("narrow", {}),
        ("lie index 99", {}),
        ("lie index -1", {}),
        ("lie id 7", {}),
        ("lie tokens 5", {}),
        ('lie finish "well"', {}),
    ],
)
def test_the_culprit_is_crashed_and_the_rest_is_answered(
    start: Start, culprit: str, asked: dict[str, float]
) -> None:
    engine = start(asked=asked, memory_bytes=4 << 30)
    counts: list[int] = []
    before = time.monotonic()
    answers = engine.generate(asks("a", "b", "c", culprit, "d", "e", "f", "g"), counts.append)
    assert time.monotonic() - before < 200
    assert [a.reply.text or a.reply.finish for a in answers] == [
        "echo a", "echo b", "echo c", "crashed", "echo d", "echo e", "echo f", "echo g",
    ]  # fmt: skip
    assert [a.reply.id for a in answers] == [
        f"id of {t}" for t in ("a", "b", "c", culprit, "d", "e", "f", "g")
    ]
    assert counts == sorted(counts)
    assert counts[-1] == 8
    # killed in company, then alone; a worker that merely left one prompt out needs no killing
    assert engine.restarts == (0 if culprit == "skip" else 2)
    assert engine.generate(asks("again"))[0].reply.text == "echo again"


def test_a_choice_that_kills_is_left_empty_and_the_rest_is_scored(start: Start) -> None:
    engine = start()
    texts = ("a", "b", "segfault", "c", "complain", "d")
    scores = engine.choose([ChoiceAsk(f"id of {text}", text, ("x", "y")) for text in texts])
    assert [s.id for s in scores] == [f"id of {text}" for text in texts]
    assert [bool(s.logprobs) for s in scores] == [True, True, False, True, False, True]
    assert engine.generate(asks("again"))[0].reply.text == "echo again"


def test_a_worker_that_does_not_listen_cannot_hold_its_parent(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "HOPELESS_CRASHES", 1)
    engine = start("deaf", asked={"stall_s": 3.0})
    long = "x" * 3_000_000  # more than fits in a pipe
    before = time.monotonic()
    with pytest.raises(EngineFailure, match="no sign of life in 3 s"):
        engine.choose([ChoiceAsk("q", long, ("a",))])
    assert time.monotonic() - before < 100


@pytest.mark.parametrize(
    ("text", "message", "limits"),
    [
        ("segfault", "killed by SIGSEGV", {}),
        ("spin", "used up its processor time", {"cpu_s": 2}),
        ("flood", "the call took longer than 0.5 s", {"wall_s": 0.5}),
        ("hang", "no sign of life in 0.5 s", {"stall_s": 0.5, "wall_s": 9.0}),
        ("cut-off", "cut off; ended with status 3", {}),
        ("complain", "xx the[2J end", {}),
    ],
)
def test_what_killed_it_is_named(
    start: Start, text: str, message: str, limits: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "HOPELESS_CRASHES", 1)
    # a limit on processor time is the process's own, from its start
    engine = start(**limits) if "cpu_s" in limits else start(asked=limits)
    with pytest.raises(EngineFailure) as failure:
        engine.choose([ChoiceAsk("q", text, ("a",))])
    assert message in str(failure.value)
    assert str(failure.value).startswith("/nowhere/model: the engine failed on 1 question(s)")
    assert len(str(failure.value)) < 500
