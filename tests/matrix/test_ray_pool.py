"""A real Ray cluster of two nodes on this machine (slow: in `make test-all`), and what is refused without one.

A node of Ray gives its own agents 30 seconds to start, which nothing changes, and ends itself where a busy machine
takes longer: so no landing depends on it.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import qaudit
from qaudit.errors import EnvironmentProblem, MissingExtra
from qaudit.matrix.ray_pool import RayPool

ROOT = Path(qaudit.__file__).parent.parent
PATIENCE_S = 600
# Ray gives a node 30 s to report, which a machine with other work to do may need more than; no setting changes that
RAY = f"""
import time
import ray._private.services as services
from ray.scripts.scripts import main
look = services.get_node
def get_node(*where):
    end = time.monotonic() + {PATIENCE_S}
    while True:
        try:
            return look(*where)
        except RuntimeError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
services.get_node = get_node
main()
"""
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_gcs_server_port_wait_time_s": str(PATIENCE_S),
    "RAY_gcs_server_request_timeout_seconds": str(PATIENCE_S),
    "RAY_worker_register_timeout_seconds": str(PATIENCE_S),
    # a node that is busy is not dead
    "RAY_health_check_timeout_ms": "60000",
    "OMP_NUM_THREADS": "1",
}
MATRIX = "from qaudit.cli.main import main; main()"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes with one processor each."""
    pytest.importorskip("ray")
    # sockets lie under it, and their names may have 107 characters
    folder = tempfile.mkdtemp(prefix="qr", dir="/tmp")
    address = f"127.0.0.1:{free_port()}"
    before = {process.pid for process in psutil.process_iter()}
    try:
        # one processor and little memory each, ports of their own, no dashboard
        common = ["--num-cpus", "1", "--object-store-memory", "80000000", "--disable-usage-stats",
                  "--min-worker-port", "0", "--max-worker-port", "0"]  # fmt: skip
        start("--head", "--node-ip-address", "127.0.0.1", "--port", address.split(":")[1],
              "--temp-dir", folder, "--include-dashboard", "false", *common)  # fmt: skip
        start("--address", address, "--node-ip-address", "127.0.0.1", *common)
        yield address
    finally:
        stop(folder, before)
        shutil.rmtree(folder, ignore_errors=True)


def start(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-c", RAY, "start", *arguments],
        env=ENVIRONMENT,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=2 * PATIENCE_S,
    )


def stop(folder: str, before: set[int]) -> None:
    """End what this cluster started, each by its id: `ray stop` would end other people's clusters too."""
    ours: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in before and any(folder in word for word in process.cmdline()):
                # agents and workers go by titles of their own, but they are children
                ours |= {process, *process.children(recursive=True)}
    for process in ours:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(ours, timeout=300)


def matrix(manifest: Path, out: Path, address: str) -> subprocess.Popen[str]:
    # driven from a folder that is not the package's, as a user would
    return subprocess.Popen(
        [sys.executable, "-c", MATRIX, "matrix", str(manifest), "--out", str(out), "--ray", address],
        env=ENVIRONMENT,
        cwd=out.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_cluster_makes_the_same_table_even_when_a_worker_is_killed(
    cluster: str, small_matrix: Any, tmp_path: Path
) -> None:
    # one test, so that one cluster is enough however tests are spread
    assert seen_by_a_driver(cluster) == ["2", "1", "True", "[]"]
    table = small_matrix.finished.table.read_bytes()
    with matrix(small_matrix.manifest, tmp_path / "out", cluster) as run:
        assert run.stderr is not None
        told = run.stderr.read()
    assert run.returncode == 2, told  # one row is broken
    assert (tmp_path / "out" / "matrix.csv").read_bytes() == table
    assert "attempt" not in told
    # nothing but our own lines: a cluster's chatter is not for whoever reads them
    assert all(re.match(r"\d/3 \w+: ", line) for line in told.splitlines()), told

    out = tmp_path / "killed"
    with matrix(small_matrix.manifest, out, cluster) as run:
        kill_the_worker_of(out / "rows" / "good" / "journal.sqlite")
        assert run.stderr is not None
        told = run.stderr.read()
    lines = sorted(line.split(" ", 1)[1] for line in told.splitlines())
    assert lines[0] == "bad: fail"
    assert lines[1].startswith("broken: error")
    assert "attempt" not in lines[1]
    assert lines[2] == "good: inconclusive, at attempt 2"
    assert (out / "matrix.csv").read_bytes() == table


def seen_by_a_driver(cluster: str) -> list[str]:
    """Return how many nodes there are, threads of a row, whether there is room, and what has ended."""
    script = (
        "import sys; from qaudit.matrix.ray_pool import RayPool; pool = RayPool(sys.argv[1]); "
        "import ray; alive = sum(node['Alive'] for node in ray.nodes()); "
        "print(alive, pool.threads(), pool.room() > 9, pool.ended(0.1)); pool.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, cluster], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def kill_the_worker_of(journal: Path) -> None:
    """Kill the Ray worker that has a row's journal open, thus in the middle of the row."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                files = process.open_files() if "ray::" in " ".join(process.cmdline()) else []
                if any(Path(file.path) == journal for file in files):
                    process.send_signal(signal.SIGKILL)
                    return
        time.sleep(0.05)
    raise AssertionError("the row did not start")


def test_no_cluster_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "")
    with pytest.raises(
        EnvironmentProblem, match=r"--ray nonsense: no cluster answers there .*`ray status`"
    ) as told:
        RayPool("nonsense")
    assert "\n" not in str(told.value)


def test_no_cluster_is_started_by_itself() -> None:
    pytest.importorskip("ray")
    with pytest.raises(EnvironmentProblem, match="--ray local: names no cluster"):
        RayPool("local")


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'qaudit\[matrix\]'"):
        RayPool("auto")
