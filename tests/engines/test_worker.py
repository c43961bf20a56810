import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from qaudit.engines import worker
from qaudit.engines.protocol import Ask, ChoiceAsk, Conversation, EngineOptions, Limits, PassageAsk
from qaudit.engines.worker import WorkerEngine
from qaudit.errors import EngineFailure

TESTS = Path(__file__).parent.parent
Start = Callable[..., WorkerEngine]


def ask(text: str) -> Ask:
    return Ask(f"id of {text}", text, text, 4)


def asks(*texts: str) -> list[Ask]:
    return [ask(text) for text in texts]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
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


def pid_of(engine: WorkerEngine) -> int:
    return int(engine.generate(asks("pid"))[0].reply.text)


def gone(pid: int, within_s: float = 5.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("culprit", "limits"),
    [
        ("segfault", {}),
        ("hang", {"stall_s": 0.8}),
        ("allocate 9000000000", {"memory_bytes": 4 << 30}),
        ("garbage", {}),
        ("cut-off", {}),
        ("flood", {"wall_s": 0.8}),
        ("dribble", {"wall_s": 0.8}),
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
    start: Start, culprit: str, limits: dict[str, float]
) -> None:
    engine = start(**limits)
    counts: list[int] = []
    before = time.monotonic()
    answers = engine.generate(asks("a", "b", "c", culprit, "d", "e", "f", "g"), counts.append)
    assert time.monotonic() - before < 15
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


def test_two_culprits_in_two_waves(start: Start) -> None:
    engine = start(parallel=2)
    answers = engine.generate(asks("segfault", "a", "b", "c", "d", "segfault", "e"))
    assert [a.reply.finish for a in answers] == ["crashed", *["eos"] * 4, "crashed", "eos"]
    assert engine.restarts == 4


def test_an_engine_that_answers_nothing_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "HOPELESS_CRASHES", 6)
    engine = start()
    with pytest.raises(EngineFailure, match=r"failed on each of the first 6 prompts \(killed by SIGSEGV\)"):
        engine.generate([Ask(str(i), "segfault", "", 1) for i in range(100)])
    assert engine.restarts < 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dies", "did not survive loading it (ended with status 9; last words: cannot go on)"),
        ("refused", "no [31mgood"),
        ("silent", "does not say what it has loaded"),
    ],
)
def test_a_worker_that_does_not_load_is_one_line(start: Start, name: str, message: str) -> None:
    children = len(psutil.Process().children())
    with pytest.raises(EngineFailure) as failure:
        start(name)
    assert message in str(failure.value)
    assert str(failure.value).isprintable()
    assert f"/nowhere/{name}" in str(failure.value)
    assert len(psutil.Process().children()) == children


def test_prompts_are_not_blamed_when_the_checkpoint_no_longer_loads(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start("once")
    monkeypatch.setenv("TMPDIR", "gone")
    with pytest.raises(EngineFailure, match="did not survive loading"):
        engine.generate(asks("a", "segfault", "b"))


def test_a_worker_that_does_not_listen_cannot_hold_its_parent(start: Start) -> None:
    engine = start("deaf", stall_s=1.0)
    long = "x" * 3_000_000  # more than fits in a pipe
    before = time.monotonic()
    with pytest.raises(EngineFailure, match="no sign of life in 1 s"):
        engine.choose([ChoiceAsk("q", long, ("a",))])
    assert time.monotonic() - before < 5


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
def test_what_killed_it_is_named(start: Start, text: str, message: str, limits: dict[str, float]) -> None:
    engine = start()
    # a busy machine may take longer than these limits to start it
    engine._process._limits = replace(engine._limits, **limits)  # type: ignore[union-attr, arg-type]
    engine._limits = engine._process._limits  # type: ignore[union-attr]
    if "cpu_s" in limits:
        engine = start(**limits)
    with pytest.raises(EngineFailure) as failure:
        engine.choose([ChoiceAsk("q", text, ("a",))])
    assert message in str(failure.value)
    assert str(failure.value).startswith("/nowhere/model: the engine did not survive the choices")
    assert len(str(failure.value)) < 500


def test_no_secret_reaches_the_worker(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws_secret")
    said = start().generate(asks("environment"))[0].reply.text
    assert "secret" not in said
    assert "TOKEN" not in said
    assert "PATH" in said


def test_modules_beside_the_checkpoint_are_not_imported(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    for name in ("numpy.py", "qaudit.py", "fake_worker.py", "resource.py"):
        (tmp_path / name).write_text(f"open({str(mark)!r}, 'w')\nraise SystemExit(5)\n")
    monkeypatch.chdir(tmp_path)
    assert start().generate(asks("a"))[0].reply.text == "echo a"
    assert not mark.exists()


def test_nothing_is_left_after_close(start: Start) -> None:
    start().close()
    here = psutil.Process()
    before = here.num_fds(), threading.active_count(), len(here.children(recursive=True))
    for _ in range(2):
        engine = start()
        engine.generate(asks("a", "segfault"))
        next(engine.read([PassageAsk("p", "text", 2)] * 3))
        with pytest.raises(EngineFailure):
            start("dies")
        engine.close()
        engine.close()
    assert (here.num_fds(), threading.active_count(), len(here.children(recursive=True))) == before


def test_processes_that_the_worker_started_end_with_it(start: Start) -> None:
    engine = start()
    session = pid_of(engine)
    assert engine.generate(asks("orphan"))[0].reply.finish == "crashed"
    time.sleep(0.1)
    # each worker leads a session, which a child that outlives it still belongs to
    assert not [p.pid for p in psutil.process_iter() if session_of(p.pid) == session]


def session_of(pid: int) -> int | None:
    try:
        return None if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE else os.getsid(pid)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None


def test_a_closed_engine_stays_closed(start: Start) -> None:
    engine = start()
    engine.close()
    for call in (
        lambda: engine.generate(asks("a")),
        lambda: engine.choose([ChoiceAsk("q", "t", ("a",))]),
        lambda: list(engine.read([PassageAsk("p", "t", 1)])),
        lambda: engine.render("t", [Conversation("c", ("x",))]),
    ):
        with pytest.raises(EngineFailure, match="closed"):
            call()
    assert engine.restarts == 0


def test_an_abandoned_reading_leaves_a_usable_engine(start: Start) -> None:
    engine = start()
    passages = [PassageAsk(str(i), "text", 2) for i in range(50)]
    reading = engine.read(passages)
    assert next(reading).id == "0"
    reading.close()
    assert engine.generate(asks("a"))[0].reply.text == "echo a"
    # not even closed: its rest must not be taken for the next answer, nor its end for the next worker's
    left = engine.read(passages)
    assert next(left).id == "0"
    assert engine.choose([ChoiceAsk("q", "t", ("a", "b"))])[0].logprobs == (-1.0, -1.0)
    with pytest.raises(EngineFailure, match="was ended"):
        list(left)
    pid = pid_of(engine)
    del left
    assert pid_of(engine) == pid
    assert [score.id for score in engine.read(passages)] == [p.id for p in passages]


def test_an_interrupted_call_leaves_a_usable_engine(start: Start) -> None:
    engine = start()

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.generate(asks("a", "b"), interrupt)
    assert [a.reply.text for a in engine.generate(asks("c", "d"))] == ["echo c", "echo d"]


def test_too_few_renderings_are_noticed(start: Start) -> None:
    with pytest.raises(EngineFailure, match="another number of renderings"):
        start().render("t", [Conversation("a", ("x",)), Conversation("b", ("y",))])


def test_two_engines_at_once_do_not_hold_each_other(start: Start) -> None:
    engines: list[WorkerEngine] = []
    threads = [threading.Thread(target=lambda: engines.append(start())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # the threads that started them have ended: their workers must not end with them
    time.sleep(0.2)
    assert len({pid_of(engine) for engine in engines}) == 3
    assert [engine.restarts for engine in engines] == [0, 0, 0]
    first = pid_of(engines[0])
    engines[0].close()
    assert gone(first)
    assert [engine.generate(asks("a"))[0].reply.text for engine in engines[1:]] == ["echo a"] * 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a busy orphan")
@pytest.mark.parametrize("doing", ["hang", "spin"])
def test_the_worker_dies_with_its_parent(doing: str) -> None:
    script = (
        "from pathlib import Path\n"
        "from qaudit.engines.worker import WorkerEngine\n"
        "from qaudit.engines.protocol import *\n"
        "e = WorkerEngine(Path('m'), EngineOptions(threads=1), Limits(), module='fake_worker')\n"
        "print(e.generate([Ask('a', 'pid', '', 1)])[0].reply.text, flush=True)\n"
        f"e.generate([Ask('a', '{doing}', '', 1)])\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        assert psutil.pid_exists(pid)
        parent.send_signal(signal.SIGKILL)
    assert gone(pid)


def test_missing_llamacpp_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    worker.require_llamacpp()
    monkeypatch.setattr(worker.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineFailure.__mro__[1], match=r"qaudit\[gguf\]"):
        worker.require_llamacpp()
