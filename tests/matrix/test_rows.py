import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qaudit.matrix.manifest import load_manifest
from qaudit.matrix.rows import run_row
from qaudit.matrix.tasks import RowTask, task_of
from qaudit.report import json_report

RUN = "run-1"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / ".this-matrix").mkdir()
    (tmp_path / ".this-matrix" / RUN).touch()
    return tmp_path


def good(small_matrix: Any, out: Path, *, fresh: bool = False) -> RowTask:
    manifest = load_manifest(small_matrix.manifest)
    task = task_of(manifest.rows[0], manifest.folder, out, RUN, threads=1, fresh=fresh, references=None)
    return replace(task, options=replace(task.options, suites=("lab-core",), limit=2))


def test_a_row_is_audited_then_kept_then_made_afresh(small_matrix: Any, out: Path) -> None:
    asked = out / "asked"
    first = run_row(replace(good(small_matrix, out), asked=asked))
    assert (first.error, first.reused, first.attempts) == (None, False, 1)
    # two items are fewer than the policy requires
    assert first.exit_code == 3
    assert asked.is_file()
    report = out / "rows" / "good" / "report.json"
    made = json_report.load(report).created, report.stat().st_mtime_ns
    second = run_row(replace(good(small_matrix, out), run=RUN))
    assert second.reused
    assert (json_report.load(report).created, report.stat().st_mtime_ns) == made
    (out / ".this-matrix" / "run-2").touch()
    third = run_row(replace(good(small_matrix, out, fresh=True), run="run-2"))
    assert (third.reused, third.attempts) == (False, 1)
    assert report.stat().st_mtime_ns != made[1]
    # the second try of a fresh row goes on with the first
    fourth = run_row(replace(good(small_matrix, out, fresh=True), run="run-2"))
    assert (fourth.reused, fourth.attempts) == (True, 2)


def test_a_journal_of_another_audit_or_a_damaged_one_is_no_obstacle(small_matrix: Any, out: Path) -> None:
    task = good(small_matrix, out)
    task.folder.mkdir(parents=True)
    journal = task.folder / "journal.sqlite"
    shutil.copyfile(small_matrix.out / "rows" / "bad" / "journal.sqlite", journal)
    assert run_row(task).error is None
    (task.folder / "report.json").unlink()
    journal.write_bytes(b"not a journal" * 100)
    assert run_row(task).error is None


def test_an_error_is_an_outcome_and_leaves_no_report(small_matrix: Any, out: Path) -> None:
    task = good(small_matrix, out)
    assert run_row(task).error is None
    outcome = run_row(replace(task, checkpoint=str(out / "none.gguf")))
    assert outcome.exit_code == 2
    assert "none.gguf: no such file" in str(outcome.error)
    assert not (task.folder / "report.json").exists()
    assert not (task.folder / "report.html").exists()
    assert "no such policy" in str(run_row(replace(task, options=replace(task.options, policy="nope"))).error)


def test_a_folder_that_is_not_shared_is_found_out(small_matrix: Any, tmp_path: Path) -> None:
    outcome = run_row(good(small_matrix, tmp_path))
    assert "storage that all workers share" in str(outcome.error)
    assert not (tmp_path / "rows").exists()
