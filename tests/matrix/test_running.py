import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

import qaudit
from qaudit.errors import OutputProblem
from qaudit.matrix.manifest import load_manifest
from qaudit.matrix.running import MatrixFinished, MatrixOptions, RowFinished, RowStarted, run_matrix


def finished(events: list[Any]) -> MatrixFinished:
    assert isinstance(events[-1], MatrixFinished)
    return events[-1]


def journal_stamps(out: Path) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in out.glob("rows/*/report.json")}


def test_rows_start_end_and_are_ordered(small_matrix: Any) -> None:
    started = [e.name for e in small_matrix.events if isinstance(e, RowStarted)]
    ended = [e for e in small_matrix.events if isinstance(e, RowFinished)]
    assert sorted(started) == ["bad", "broken", "good"]
    assert [e.done for e in ended] == [1, 2, 3]
    results = small_matrix.finished.results
    assert [r.row.name for r in results] == ["good", "bad", "broken"]
    assert [r.status for r in results] == ["inconclusive", "fail", "error"]
    assert [r.as_labelled for r in results] == [True, True, False]
    assert results[2].error is not None
    assert results[2].error.startswith("broken.gguf: ")
    assert {p.name for p in small_matrix.out.iterdir()} >= {"matrix.csv", "matrix.html", "rows"}
    assert not list(small_matrix.out.glob("rows/*/.attempts"))


def test_a_finished_matrix_runs_nothing_again(small_matrix: Any) -> None:
    before, table = journal_stamps(small_matrix.out), small_matrix.finished.table.read_bytes()
    page = small_matrix.finished.page.read_bytes()
    events = list(run_matrix(load_manifest(small_matrix.manifest), MatrixOptions(small_matrix.out, jobs=1)))
    assert journal_stamps(small_matrix.out) == before
    assert [r.outcome.reused for r in finished(events).results] == [True, True, False]
    assert finished(events).table.read_bytes() == table
    assert finished(events).page.read_bytes() == page


def test_elsewhere_with_other_jobs_and_threads_the_table_is_the_same(
    small_matrix: Any, tmp_path: Path
) -> None:
    manifest = load_manifest(small_matrix.manifest).with_settings(threads=2)
    events = list(run_matrix(manifest, MatrixOptions(tmp_path / "deep" / "out", jobs=1)))
    assert finished(events).table.read_bytes() == small_matrix.finished.table.read_bytes()


def test_a_changed_row_alone_is_run_again(small_matrix: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(small_matrix.out, out)
    manifest = load_manifest(small_matrix.manifest).only(["good"])
    row = manifest.rows[0]
    wider = replace(row, name="wider", settings=replace(row.settings, limit=2, suites=("lab-core",)))
    both = replace(manifest, rows=(row, wider))
    results = finished(list(run_matrix(both, MatrixOptions(out, jobs=1)))).results
    assert [r.outcome.reused for r in results] == [True, False]
    assert [r.report.metrics.refusal.pairs for r in results if r.report] == [4, 2]


def test_two_matrices_in_one_folder_are_refused(small_matrix: Any, tmp_path: Path) -> None:
    manifest = load_manifest(small_matrix.manifest).only(["broken"])
    # another module's fixture may hold a process of this one's for the whole session
    before = {process.pid for process in multiprocessing.active_children()}
    first = run_matrix(manifest, MatrixOptions(tmp_path, jobs=1))
    leftover = tmp_path / "references" / ".lent-x"
    leftover.parent.mkdir()
    leftover.touch()
    next(first)
    assert not leftover.exists()
    with pytest.raises(OutputProblem, match="another matrix is running"):
        list(run_matrix(manifest, MatrixOptions(tmp_path, jobs=1)))
    assert isinstance(next(first), RowFinished)
    assert {process.pid for process in multiprocessing.active_children()} > before
    first.close()  # type: ignore[attr-defined]
    # one that was stopped leaves no table, no process and no lock
    assert not (tmp_path / "matrix.csv").exists()
    assert {process.pid for process in multiprocessing.active_children()} <= before
    assert finished(list(run_matrix(manifest, MatrixOptions(tmp_path, jobs=1)))).table.is_file()


SCRIPT = """
import sys
from pathlib import Path
from qaudit.matrix.manifest import load_manifest
from qaudit.matrix.running import MatrixOptions, RowFinished, run_matrix
if __name__ == "__main__":
    for event in run_matrix(load_manifest(Path(sys.argv[1])), MatrixOptions(Path(sys.argv[2]), jobs=2)):
        if isinstance(event, RowFinished):
            print(event.result.row.name, event.result.outcome.attempts, flush=True)
"""


def test_a_killed_row_is_tried_again_and_nothing_else(small_matrix: Any, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    out = tmp_path / "out"
    environment = {**os.environ, "PYTHONPATH": str(Path(qaudit.__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, str(script), str(small_matrix.manifest), str(out)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        kill_the_process_of(out / "rows" / "good" / "journal.sqlite", psutil.Process(child.pid))
        assert child.stdout is not None
        attempts = dict(line.split() for line in child.stdout.read().splitlines())
    assert attempts == {"good": "2", "bad": "1", "broken": "1"}
    assert (out / "matrix.csv").read_bytes() == small_matrix.finished.table.read_bytes()


def kill_the_process_of(journal: Path, parent: psutil.Process) -> None:
    """Kill the row's process once it has the journal open, thus in the middle of its work."""
    end = time.monotonic() + 600
    while time.monotonic() < end:
        for process in parent.children():
            try:
                if any(Path(file.path) == journal for file in process.open_files()):
                    process.send_signal(signal.SIGKILL)
                    return
            except psutil.Error:
                continue
        time.sleep(0.05)
    raise AssertionError("the row did not start")


def test_the_reference_is_asked_once(small_matrix: Any) -> None:
    kept = list((small_matrix.out / "references").glob("*.sqlite"))
    assert len(kept) == 1
    reports = [
        json.loads((small_matrix.out / "rows" / n / "report.json").read_text()) for n in ("good", "bad")
    ]
    assert reports[0]["metrics"]["refusal"]["reference"] == reports[1]["metrics"]["refusal"]["reference"]
