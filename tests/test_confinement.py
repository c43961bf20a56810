"""The measures are for good, so each is tried out in a child: `fake_worker`, or a script of its own."""

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qaudit.confinement import Limits
from qaudit.engines.protocol import Ask, EngineOptions
from qaudit.engines.worker import WorkerEngine

TESTS = Path(__file__).parent
LINUX = sys.platform.startswith("linux")


@pytest.fixture(scope="module")
def confined() -> Iterator[WorkerEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TESTS))
        options, limits = EngineOptions(threads=1, judge=None), Limits(memory_bytes=4 << 30, cpu_s=60)
        engine = WorkerEngine(Path("m"), options, limits, module="fake_worker")
        yield engine
        engine.close()


def does(engine: WorkerEngine, what: str) -> str:
    return engine.generate([Ask("a", what, "", 1)])[0].reply.text


def test_what_holds_is_named(confined: WorkerEngine) -> None:
    assert {"memory", "cpu", "no-core", "no-file-writes"} <= set(confined.held)
    if LINUX:
        assert "no-new-privileges" in confined.held


def test_nothing_can_be_written(confined: WorkerEngine, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"kept")
    assert does(confined, f"write {tmp_path / 'new'}") in ("OSError", "PermissionError")
    assert does(confined, f"write {there}") in ("OSError", "PermissionError")
    if "landlock" in confined.held:
        # a limit on file sizes alone would still let files be emptied and folders be made
        assert there.read_bytes() == b"kept"
        assert does(confined, f"folder {tmp_path / 'folder'}") == "PermissionError"
    new = tmp_path / "new"
    assert not new.exists() or new.stat().st_size == 0


def test_no_service_can_be_reached(confined: WorkerEngine) -> None:
    if not {"no-network", "landlock"} & set(confined.held):
        pytest.skip("this kernel offers neither a network namespace nor Landlock")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 2), server.accept()[0]:
            pass  # it is there for everybody else
        assert does(confined, f"connect {port}") != "allowed"
        with pytest.raises(TimeoutError):
            server.accept()
    if "no-network" in confined.held:
        assert does(confined, "datagram 53") != "allowed"


def test_no_other_process_can_be_signalled(confined: WorkerEngine) -> None:
    if "landlock" not in confined.held or _landlock_version() < 6:
        pytest.skip("this kernel's Landlock does not scope signals")
    assert does(confined, f"signal {os.getpid()}") == "PermissionError"


def _landlock_version() -> int:
    import ctypes

    return int(ctypes.CDLL(None).syscall(444, None, 0, 1))


@pytest.mark.skipif(not LINUX, reason="Landlock and namespaces are Linux's")
def test_no_thread_was_there_before_the_measures(confined: WorkerEngine) -> None:
    # Landlock and namespaces hold one thread and what it starts: an older one would be free
    assert does(confined, "threads") == "1"


CHILD = """
import json, os, resource, sys
from qaudit.confinement import confine
from qaudit.confinement import Limits
{first}
held = confine(Limits({limits}))
print(json.dumps([held, resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU)]))
"""


def run_confined(limits: str, first: str = "") -> tuple[list[str], list[int], list[int]]:
    """Let a child confine itself; return what held and its memory and processor limits."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent), "OPENBLAS_NUM_THREADS": "1"}
    script = CHILD.format(first=first, limits=limits)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
    held, memory, cpu = json.loads(done.stdout)
    return held, memory, cpu


def test_limits_that_are_left_out_are_left_alone() -> None:
    held, memory, cpu = run_confined("")
    assert "memory" not in held
    assert "cpu" not in held
    assert tuple(memory) == resource.getrlimit(resource.RLIMIT_AS)
    assert tuple(cpu) == resource.getrlimit(resource.RLIMIT_CPU)


def test_a_limit_is_never_raised_and_its_signal_tells_why() -> None:
    lower = "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))"
    held, memory, cpu = run_confined("memory_bytes=1 << 40, cpu_s=7", lower)
    assert {"memory", "cpu"} <= set(held)
    assert memory == [2 << 30, 2 << 30]
    # SIGXCPU comes at the soft limit, SIGKILL a second later
    assert cpu == [7, 8]
    lower = "resource.setrlimit(resource.RLIMIT_CPU, (5, 5))"
    assert run_confined("cpu_s=7", lower)[2] == [5, 5]


def test_processor_time_can_only_be_lowered_later() -> None:
    lowered = "from qaudit.confinement import bound_processor_time as bound; bound(9); bound(6); bound(50)"
    assert run_confined("memory_bytes=1 << 40", lowered)[2] == [6, 7]


@pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_loses_the_network_too() -> None:
    held = run_confined("", "os.setgid(65534); os.setuid(65534)")[0]
    if not _userns_forbidden():
        assert "no-network" in held


def _userns_forbidden() -> bool:
    most = Path("/proc/sys/user/max_user_namespaces")
    switch = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    none = most.is_file() and int(most.read_text()) == 0
    # a container's seccomp filter forbids it too: then a fresh process cannot do it either
    script = "import ctypes, os; os.setuid(65534); print(ctypes.CDLL(None).unshare(0x10000000))"
    free = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).stdout == b"0\n"
    return none or not free or (switch.is_file() and switch.read_text().strip() == "1")
