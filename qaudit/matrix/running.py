"""A matrix from its manifest to its table and page, as typed events; listeners choose what to show."""

import contextlib
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qaudit.auditing.outputs import REPORT
from qaudit.errors import InputError, OutputProblem
from qaudit.files import make_folder, write_atomically
from qaudit.journal import UNFINISHED
from qaudit.locks import locked
from qaudit.matrix import page, table
from qaudit.matrix.local_pool import LocalPool, default_jobs
from qaudit.matrix.manifest import Manifest, Row
from qaudit.matrix.ray_pool import RayPool
from qaudit.matrix.rows import ATTEMPTS, run_row
from qaudit.matrix.shared_reference import ReferenceOrder
from qaudit.matrix.table import RowResult
from qaudit.matrix.tasks import REFERENCES, ROWS, SHARED, Outcome, RowTask, task_of, unfinished
from qaudit.processors import available_threads
from qaudit.report import json_report

TABLE, PAGE, LOCK = "matrix.csv", "matrix.html", "lock"
BUSY = "another matrix is running in it; choose another --out"
LOOK_EVERY_S = 0.5


class Pool(Protocol):
    """Where rows run."""

    def room(self) -> int:
        """How many rows more would start at once."""
        ...

    def submit(self, task: RowTask) -> None:
        """Take a row."""
        ...

    def ended(self, timeout_s: float) -> list[Outcome]:
        """Wait at most so long, return the rows that have ended."""
        ...

    def close(self) -> None:
        """End what still runs."""
        ...


@dataclass(frozen=True, slots=True)
class MatrixOptions:
    """How to run a matrix.

    Attributes:
        out: folder for the table, the page and one folder a row.
        jobs: rows at once on this machine; None for what processors and memory allow.
        threads: for rows that do not choose; None shares the processors among the jobs.
        ray: address of a Ray cluster; None runs here.
        fresh: start from nothing instead of going on.
        api_key_env: the variable whose key served rows are sent; empty for none.
    """

    out: Path
    jobs: int | None = None
    threads: int | None = None
    ray: str | None = None
    fresh: bool = False
    api_key_env: str = ""


@dataclass(frozen=True, slots=True)
class RowStarted:
    """A row was started here or handed to the cluster; `number` of `total`, in that order."""

    name: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class RowFinished:
    """A row has ended, with a report or an error."""

    result: RowResult
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class MatrixFinished:
    """Table and page are written; `results` are in the order of the manifest."""

    results: tuple[RowResult, ...]
    table: Path
    page: Path


MatrixEvent = RowStarted | RowFinished | MatrixFinished


def run_matrix(manifest: Manifest, options: MatrixOptions) -> Iterator[MatrixEvent]:
    """Audit every row; the last event is MatrixFinished.

    Raises:
        InputError: two rows cannot be told apart.
        EnvironmentProblem: the folder cannot be written, or there is no Ray cluster.
    """
    out = options.out.absolute()
    run = uuid.uuid4().hex
    make_folder(out / ROWS)
    make_folder(out / SHARED)
    with locked(out / SHARED / LOCK, busy=BUSY), contextlib.ExitStack() as stack:
        if options.fresh:
            shutil.rmtree(out / REFERENCES, ignore_errors=True)
        # what a process that was killed while it wrote has left
        _remove(*(out / REFERENCES).glob(f"{UNFINISHED}*"))
        # a table of an earlier run must not stand there for one that is stopped now
        _remove(out / TABLE, out / PAGE)
        write_atomically(out / SHARED / run, "")
        stack.callback(_sweep, out, run)
        pool, tasks = _prepared(manifest, options, out, run)
        stack.callback(pool.close)
        results: dict[str, RowResult] = {}
        for event in _run(manifest, pool, tasks, out):
            if isinstance(event, RowFinished):
                results[event.result.row.name] = event.result
            yield event
        ordered = tuple(results[row.name] for row in manifest.rows)
        write_atomically(out / TABLE, table.to_csv(ordered))
        write_atomically(out / PAGE, page.render(ordered))
        yield MatrixFinished(ordered, out / TABLE, out / PAGE)


def _prepared(manifest: Manifest, options: MatrixOptions, out: Path, run: str) -> tuple[Pool, list[RowTask]]:
    def tasks(threads: int) -> list[RowTask]:
        folder, kept = manifest.folder, out / REFERENCES
        return [
            task_of(
                row,
                folder,
                out,
                run,
                threads=threads,
                fresh=options.fresh,
                references=kept,
                api_key_env=options.api_key_env,
            )
            for row in manifest.rows
        ]

    if options.ray is not None:
        cluster = RayPool(options.ray)
        return cluster, tasks(options.threads or cluster.threads())
    jobs = options.jobs or default_jobs(tasks(1))
    return LocalPool(jobs, run_row), tasks(options.threads or max(1, available_threads() // jobs))


def _run(manifest: Manifest, pool: Pool, tasks: Sequence[RowTask], out: Path) -> Iterator[MatrixEvent]:
    rows = {row.name: row for row in manifest.rows}
    order = ReferenceOrder(tasks, out / SHARED)
    started = done = 0
    while done < len(rows):
        for task in order.startable(pool.room()):
            started += 1
            pool.submit(task)
            yield RowStarted(task.name, started, len(rows))
        for outcome in pool.ended(LOOK_EVERY_S):
            done += 1
            order.ended(outcome.name, reused=outcome.reused)
            yield RowFinished(_result(rows[outcome.name], outcome, manifest.folder, out), done, len(rows))


def _result(row: Row, outcome: Outcome, folder: Path, out: Path) -> RowResult:
    if outcome.error is not None:
        return RowResult(row, outcome, None, _without(outcome.error, out, folder))
    # as it is on disk: figures of a row that was reused have the same digits as those of one that ran
    try:
        return RowResult(row, outcome, json_report.load(out / ROWS / row.name / REPORT), None)
    except InputError as error:
        problem = f"its report cannot be read here ({_without(str(error), out, folder)})"
        return RowResult(row, unfinished(row.name, problem, outcome.attempts), None, problem)


def _without(error: str, *folders: Path) -> str:
    """Return an error with paths relative, so that a table does not depend on where it was made."""
    for folder in sorted(map(str, folders), key=len, reverse=True):
        error = error.replace(f"{folder}/", "")
    return error


def _remove(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputProblem(
                f"{path}: cannot be removed ({error.strerror}); choose another --out"
            ) from error


def _sweep(out: Path, run: str) -> None:
    with contextlib.suppress(OSError):
        for path in (*(out / SHARED).glob(f"{run}*"), *(out / ROWS).glob(f"*/{ATTEMPTS}")):
            path.unlink(missing_ok=True)
