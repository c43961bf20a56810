import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from qaudit.engines import worker
from qaudit.engines.protocol import Ask, ChoiceAsk, Conversation, PassageAsk
from qaudit.engines.worker import WorkerEngine
from qaudit.errors import EngineFailure

TESTS = Path(__file__).parent.parent
Start = Callable[..., WorkerEngine]


def ask(text: str) -> Ask:
    return Ask(f"id of {text}", text, text, 4)


def asks(*texts: str) -> list[Ask]:
    return [ask(text) for text in texts]


def pid_of(engine: WorkerEngine) -> int:
    return int(engine.generate(asks("pid"))[0].reply.text)


def gone(pid: int, within_s: float = 120.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_two_culprits_in_two_waves(start: Start) -> None:
    engine = start(parallel=2)
    answers = engine.generate(asks("segfault", "a", "b", "c", "d", "segfault", "e"))
    assert [a.reply.finish for a in answers] == ["crashed", *["eos"] * 4, "crashed", "eos"]
    assert engine.restarts == 4


def test_an_engine_that_answers_nothing_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "HOPELESS_CRASHES", 6)
    engine = start()
    with pytest.raises(
        EngineFailure, match=r"failed on 6 question\(s\) one after the other \(killed by SIGSEGV\)"
    ):
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
    children = set(psutil.Process().children())
    with pytest.raises(EngineFailure) as failure:
        start(name)
    assert message in str(failure.value)
    assert str(failure.value).isprintable()
    assert f"/nowhere/{name}" in str(failure.value)
    assert set(psutil.Process().children()) <= children


def test_prompts_are_not_blamed_when_the_checkpoint_no_longer_loads(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start("once")
    monkeypatch.setenv("TMPDIR", "gone")
    with pytest.raises(EngineFailure, match="did not survive loading"):
        engine.generate(asks("a", "segfault", "b"))


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
    fds, threads, children = here.num_fds(), set(threading.enumerate()), set(here.children(recursive=True))
    for _ in range(2):
        engine = start()
        engine.generate(asks("a", "segfault"))
        next(engine.read([PassageAsk("p", "text", 2)] * 3))
        with pytest.raises(EngineFailure):
            start("dies")
        engine.close()
        engine.close()
    # what other tests of this process have left may end meanwhile
    assert here.num_fds() <= fds
    assert set(threading.enumerate()) <= threads
    assert set(here.children(recursive=True)) <= children


def test_processes_that_the_worker_started_end_with_it(start: Start) -> None:
    engine = start()
    session = pid_of(engine)
    assert engine.generate(asks("orphan"))[0].reply.finish == "crashed"
    # each worker leads a session, which a child that outlives it still belongs to
    end = time.monotonic() + 120
    while left := [p.pid for p in psutil.process_iter() if session_of(p.pid) == session]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


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
    # not even closed: other questions may come between two passages
    left = engine.read(passages)
    assert next(left).id == "0"
    assert engine.choose([ChoiceAsk("q", "t", ("a", "b"))])[0].logprobs == (-1.0, -1.0)
    assert [score.id for score in left] == [p.id for p in passages[1:]]
    assert engine.restarts == 0


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
        "from qaudit.confinement import Limits\n"
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
    worker.require_engine("llama.cpp")
    monkeypatch.setattr(worker.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineFailure.__mro__[1], match=r"qaudit\[gguf\]"):
        worker.require_engine("llama.cpp")
