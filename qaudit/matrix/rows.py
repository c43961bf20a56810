"""One row: an audit in the row's own folder, gone on with where it stopped; an error is an outcome."""

import contextlib
from dataclasses import replace

from qaudit.auditing.chain import run_audit
from qaudit.auditing.events import Finished, Loaded
from qaudit.auditing.options import AuditOptions
from qaudit.auditing.outputs import remove_outputs
from qaudit.errors import ExitCode, InputError, OutputProblem, QauditError
from qaudit.files import make_folder
from qaudit.matrix.reuse import reusable_report
from qaudit.matrix.tasks import SHARED, Outcome, RowTask
from qaudit.values import Report, Status

ATTEMPTS = ".attempts"
EXIT_CODES: dict[Status, ExitCode] = {
    "pass": ExitCode.PASS,
    "fail": ExitCode.GATE_FAILED,
    "inconclusive": ExitCode.INCONCLUSIVE,
}


def run_row(task: RowTask) -> Outcome:
    """Audit one row; whatever goes wrong with it is in the outcome."""
    attempts = 1
    try:
        attempts = _count_attempt(task)
        again = task.fresh and attempts == 1
        report = None if again else reusable_report(task.checkpoint, task.reference, task.options)
        reused = report is not None
        if report is None:
            report = _audited(task, resume=not again)
    except QauditError as error:
        # a report of an earlier run must not stand there for a row that fails now
        with contextlib.suppress(OutputProblem):
            remove_outputs(task.folder)
        return Outcome(task.name, int(error.exit_code), str(error), attempts=attempts)
    return Outcome(task.name, int(EXIT_CODES[report.verdict.status]), None, reused, attempts)


def _count_attempt(task: RowTask) -> int:
    if not (task.folder.parent.parent / SHARED / task.run).is_file():
        raise InputError(
            f"{task.folder.parent.parent}: is not the folder of this matrix as this worker sees it; give an "
            "--out on storage that all workers share"
        )
    make_folder(task.folder)
    try:
        with (task.folder / ATTEMPTS).open("a+", encoding="utf-8") as stream:
            stream.write(f"{task.run}\n")
            stream.seek(0)
            return stream.read().split().count(task.run)
    except (OSError, ValueError) as error:
        raise OutputProblem(f"{task.folder}: cannot write ({error}); choose another --out") from error


def _audited(task: RowTask, *, resume: bool) -> Report:
    if not resume:
        return _watched(task, task.options)
    try:
        return _watched(task, replace(task.options, resume=True))
    except InputError:
        # a journal of another audit, or damaged: without it. What else is wrong is so again, and as fast
        return _watched(task, task.options)


def _watched(task: RowTask, options: AuditOptions) -> Report:
    for event in run_audit(task.checkpoint, task.reference, options):
        if isinstance(event, Loaded) and event.arm == "candidate" and task.asked:
            with contextlib.suppress(OSError):
                task.asked.touch()
        if isinstance(event, Finished):
            return event.report
    raise RuntimeError("the audit ended without a report")
