"""What a row needs to run anywhere, and how it ended: values that go between processes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qaudit.auditing.options import AuditOptions
from qaudit.errors import ExitCode
from qaudit.matrix.manifest import Row, located

# folders in a matrix's own: one a row, the answers of references, files of the run under way
ROWS, REFERENCES, SHARED = "rows", "references", ".this-matrix"


@dataclass(frozen=True, slots=True)
class RowTask:
    """Everything that a process needs to run one row, wherever it is.

    Attributes:
        name: of the row.
        checkpoint: absolute path or remote address.
        reference: the same for the reference.
        options: how to audit; `out` is the row's folder.
        run: a token of this run of the matrix, which attempts are counted by and which lies in the
            matrix's folder, so that a worker that does not share it finds out.
        fresh: start from nothing, at the first attempt.
        asked: a file to leave once the reference has been asked, so that rows with the same one can start.
    """

    name: str
    checkpoint: str
    reference: str
    options: AuditOptions
    run: str
    fresh: bool = False
    asked: Path | None = None

    @property
    def folder(self) -> Path:
        """The row's folder, in `rows` in the matrix's folder."""
        if self.options.out is None:
            raise ValueError("a row has a folder")
        return self.options.out

    def wants_gpu(self, *, present: bool) -> bool:
        """Tell whether the row runs on a GPU, given whether there is one."""
        engine = self.options.engine
        if engine.gpu_layers or engine.device == "cuda":
            return True
        # what is left open takes a GPU where there is one
        return present and (engine.gpu_layers is None or engine.device == "auto")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a row ended; `error` is one line, None where there is a report.

    `reused`: the report was there already, made from the same. `attempts`: processes that it took.
    """

    name: str
    exit_code: int
    error: str | None = None
    reused: bool = False
    attempts: int = 1


def task_of(
    row: Row,
    folder: Path,
    out: Path,
    run: str,
    *,
    threads: int,
    fresh: bool,
    references: Path | None,
    api_key_env: str = "",
) -> RowTask:
    """Return a manifest's row as a task.

    Args:
        row: what to audit.
        folder: the manifest's folder.
        out: the matrix's folder, absolute.
        run: token of this run.
        threads: for a row that does not choose.
        fresh: whether to start from nothing.
        references: where answers of references are shared; None where nobody shares them.
        api_key_env: the variable whose key is sent to served rows; none, if empty, for a manifest may
            be a stranger's and name any address.
    """
    chosen, plain = row.settings, AuditOptions()
    engine_settings: dict[str, Any] = {
        "threads": chosen.threads or threads,
        "parallel": chosen.parallel,
        "context_per_sequence": chosen.context,
        "gpu_layers": chosen.gpu_layers,
        "device": chosen.device,
        "dtype": chosen.dtype,
        "kernels": chosen.kernels,
    }
    given = {name: value for name, value in engine_settings.items() if value is not None}
    engine = replace(plain.engine, **given)
    options = replace(
        plain,
        suites=chosen.suites or (),
        policy=chosen.policy or plain.policy,
        out=out / ROWS / row.name,
        limit=chosen.limit,
        max_tokens=chosen.max_tokens or plain.max_tokens,
        engine=engine,
        served=replace(
            plain.served,
            concurrency=chosen.concurrency or plain.served.concurrency,
            api_key_env=api_key_env,
        ),
        chat_template=Path(chosen.chat_template) if chosen.chat_template else None,
        calibration=Path(chosen.calibration) if chosen.calibration else None,
        references=references,
    )
    pair = located(folder, row.checkpoint), located(folder, row.reference)
    return RowTask(row.name, *pair, options, run, fresh)


def unfinished(name: str, error: str, attempts: int) -> Outcome:
    """Return the outcome of a row whose process gave none."""
    return Outcome(name, int(ExitCode.UNABLE), error, attempts=attempts)
