import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from qaudit.confinement import Limits
from qaudit.engines import process
from qaudit.engines.process import KEPT_ENVIRONMENT, WORKER_ENVIRONMENT, WorkerDied, WorkerProcess
from qaudit.errors import EngineFailure

TESTS = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _fake_worker_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


@pytest.fixture
def running() -> Iterator[WorkerProcess]:
    worker = WorkerProcess("fake_worker", Limits(stall_s=120))
    yield worker
    worker.end()


def generate(*texts: str) -> dict[str, object]:
    return {"op": "generate", "asks": [{"id": text, "text": text} for text in texts]}


def said(worker: WorkerProcess, *texts: str) -> list[str]:
    return [header["reply"]["text"] for header, _ in worker.call(generate(*texts), None)]


def test_frames_come_one_by_one_and_it_can_be_asked_again(running: WorkerProcess) -> None:
    assert "no-core" in running.held
    assert said(running, "a", "b") == ["echo a", "echo b"]
    assert not running.busy
    assert said(running, "c") == ["echo c"]


def test_an_answer_not_read_to_its_end_leaves_it_busy(running: WorkerProcess) -> None:
    call = running.call(generate("a", "b"), None)
    next(call)
    call.close()
    assert running.busy


def test_a_frame_larger_than_any_pipe_passes_both_ways(running: WorkerProcess) -> None:
    text = "x" * 5_000_000
    assert said(running, text) == [f"echo {text}"]


def test_end_tells_the_status_only_of_what_ended_by_itself(running: WorkerProcess) -> None:
    assert running.end() is None
    assert running.end() is None
    with pytest.raises(WorkerDied, match="it was ended"):
        said(running, "a")
    other = WorkerProcess("fake_worker", Limits(stall_s=120))
    with pytest.raises(WorkerDied, match="killed by SIGSEGV"):
        said(other, "segfault")
    assert other.end() is None


def test_a_module_that_is_not_there_is_named() -> None:
    fds = psutil.Process().num_fds()
    with pytest.raises(
        WorkerDied, match=r"ended with status 1; last words: .*No module named no_such_worker"
    ):
        WorkerProcess("no_such_worker", Limits(stall_s=120))
    assert psutil.Process().num_fds() <= fds  # fewer: what another test had left open was collected


def test_a_module_that_confines_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mute_worker.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    children = set(psutil.Process().children())
    with pytest.raises(WorkerDied, match=r"no sign of life in 0\.3 s"):
        WorkerProcess("mute_worker", Limits(stall_s=0.3))
    assert set(psutil.Process().children()) <= children


@pytest.mark.parametrize("spare", [0, 1, 3, 5, 7])
def test_too_few_descriptors_are_one_line_and_leave_none_open(spare: int) -> None:
    here = psutil.Process()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = here.num_fds()
    # the bound is on numbers, so the gaps below the highest one open are filled first
    fillers = [os.open(os.devnull, os.O_RDONLY) for _ in range(64)]
    top = max(fillers) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
    for filler in fillers[:spare]:
        os.close(filler)
    try:
        with pytest.raises(EngineFailure, match="no worker process can be started"):
            WorkerProcess("fake_worker", Limits(stall_s=120)).end()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers[spare:]:
            os.close(filler)
    assert here.num_fds() <= before


def test_the_worker_holds_only_its_own_pipes() -> None:
    first, second = WorkerProcess("fake_worker", Limits(stall_s=120)), None
    try:
        second = WorkerProcess("fake_worker", Limits(stall_s=120))
        if not sys.platform.startswith("linux"):
            pytest.skip("descriptors are looked up in /proc")
        one, other = (pipes_of(int(said(worker, "pid")[0])) for worker in (first, second))
        assert len(one) == len(other) == 3
        assert not one & other
    finally:
        first.end()
        if second:
            second.end()


def pipes_of(pid: int) -> set[str]:
    links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    return {link for link in links if link.startswith("pipe:")}


def test_a_worker_outlives_the_thread_that_started_it() -> None:
    started: list[WorkerProcess] = []
    thread = threading.Thread(
        target=lambda: started.append(WorkerProcess("fake_worker", Limits(stall_s=120)))
    )
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert said(started[0], "a") == ["echo a"]
    started[0].end()


def test_ctrl_c_at_the_terminal_is_not_the_workers(running: WorkerProcess) -> None:
    pid = int(said(running, "pid")[0])
    assert os.getpgid(pid) == os.getsid(pid) == pid
    assert os.getpgid(pid) != os.getpgid(0)


def test_environment_is_named_and_of_the_same_source_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "8")
    environment = process._environment()
    assert set(environment) <= {*KEPT_ENVIRONMENT, *WORKER_ENVIRONMENT, "OPENBLAS_NUM_THREADS"}
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
    assert environment["PYTHONPATH"].split(os.pathsep)[-1] == str(TESTS)
    script = "import qaudit; print(qaudit.__file__)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", script], env=environment, capture_output=True, check=True
    )
    assert Path(found.stdout.decode().strip()) == Path(process.__file__).parents[1] / "__init__.py"


def test_every_status_has_words() -> None:
    assert process._manner(3) == "ended with status 3"
    assert process._manner(-9) == "killed by SIGKILL"
    assert process._manner(-63) == "killed by signal 63"
