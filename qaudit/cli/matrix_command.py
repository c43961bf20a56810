"""`qaudit matrix`: many checkpoints against their references, one row each."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from qaudit.cli.output_format import AsJson, OutputFormat, wants_json
from qaudit.errors import ExitCode, InputError

if TYPE_CHECKING:
    from qaudit.matrix.table import RowResult
    from qaudit.values import Report

SCHEMA = "qaudit/matrix/v1"
MAX_NAMED = 4


def matrix_command(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="YAML manifest, or the zoo.json of a lab.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for matrix.csv, matrix.html and the rows.")
    ],
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            help="Run rows on a Ray cluster: auto, or HOST:PORT. All nodes must see the manifest's files and "
            "--out under the same paths.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Rows at once. Default: what processors and memory allow."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", "-t", min=1, max=1024, help="Of one row. Default: processors / jobs."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="ROW", help="Run this row only; may be repeated.")
    ] = None,
    policy: Annotated[str | None, typer.Option("--policy", "-p", help="For all rows.")] = None,
    suite: Annotated[
        list[str] | None, typer.Option("--suite", "-s", help="For all rows; may be repeated.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="At most N items of each suite, for all rows.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask everything again; otherwise finished rows are kept.")
    ] = False,
    api_key_env: Annotated[
        str,
        typer.Option(
            "--api-key-env",
            help="Environment variable whose key is sent to every served row: read the manifest's addresses "
            "first. Default: none is sent.",
        ),
    ] = "",
    check_labels: Annotated[
        bool,
        typer.Option("--check-labels", help="Exit 0 if every expected verdict came, 1 if one did not."),
    ] = False,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Audit many checkpoints; write one table, one page and a folder a row.

    A manifest has `rows` (name, checkpoint, reference; label and expected verdict if known) and
    `defaults` for them: reference, policy, suites, limit, max_tokens, threads, context, parallel,
    gpu_layers, device, dtype, kernels, concurrency, chat_template, calibration. A row that cannot be
    audited is a row with its error; a matrix that was stopped goes on when it is started again. Exit
    code 0 all rows pass, 1 one fails, 2 one could not be audited, 3 none fails but one is inconclusive.
    """
    as_json = wants_json(as_json, output_format)
    from qaudit.cli.matrix_progress import MatrixProgress
    from qaudit.matrix.manifest import load_manifest
    from qaudit.matrix.running import MatrixFinished, MatrixOptions, run_matrix

    chosen = load_manifest(manifest).only(only or [])
    chosen = chosen.with_settings(policy=policy, suites=tuple(suite) if suite else None, limit=limit)
    if check_labels and not any(row.expected for row in chosen.rows):
        raise InputError(f"{manifest}: no row has an expected verdict; --check-labels has nothing to check")
    options = MatrixOptions(out, jobs, threads, ray, fresh, api_key_env)
    finished: MatrixFinished | None = None
    with MatrixProgress(Console(stderr=True)) as progress:
        for event in run_matrix(chosen, options):
            progress.notice(event)
            if isinstance(event, MatrixFinished):
                finished = event
    if finished is None:
        raise RuntimeError("the matrix ended without a table")
    if as_json:
        sys.stdout.write(_document(finished.results))
    else:
        _show(finished.results, out)
    raise typer.Exit(exit_code(finished.results, check_labels=check_labels))


def exit_code(results: Sequence["RowResult"], *, check_labels: bool = False) -> int:
    """Return the exit code of a matrix; a row that could not be audited outweighs every verdict."""
    statuses = {result.status for result in results}
    if "error" in statuses:
        return int(ExitCode.UNABLE)
    if check_labels:
        wrong = any(result.as_labelled is False for result in results)
        return int(ExitCode.GATE_FAILED if wrong else ExitCode.PASS)
    if "fail" in statuses:
        return int(ExitCode.GATE_FAILED)
    return int(ExitCode.INCONCLUSIVE if "inconclusive" in statuses else ExitCode.PASS)


def _document(results: Sequence["RowResult"]) -> str:
    from qaudit.matrix.table import record

    counts = Counter(result.status for result in results)
    labelled = [result.as_labelled for result in results if result.as_labelled is not None]
    document = {
        "schema": SCHEMA,
        "counts": {status: counts[status] for status in ("pass", "fail", "inconclusive", "error")},
        **({"as_labelled": {"rows": len(labelled), "right": sum(labelled)}} if labelled else {}),
        "rows": [record(result) for result in results],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _because(report: "Report") -> str:
    rules = report.verdict.rules
    failed = list(dict.fromkeys(r.rule for r in rules if r.status == "fail"))
    named = failed or list(dict.fromkeys(r.rule for r in rules if r.status == "inconclusive"))
    return ", ".join(named[:MAX_NAMED]) + (f" and {len(named) - MAX_NAMED} more" if named[MAX_NAMED:] else "")


def _show(results: Sequence["RowResult"], out: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from qaudit.report.untrusted import one_line
    from qaudit.report.wording import number, percent, points

    labelled = any(result.as_labelled is not None for result in results)
    heads = ("checkpoint", "bits", "refused", "change", "accuracy", "RTSI", "verdict", "because")
    table = Table(*heads, *(("as labelled",) if labelled else ()))
    styles = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "error": "bold red"}
    for result in results:
        report = result.report
        figures = ["–"] * 5
        because = result.error or ""
        if report:
            metrics = report.metrics
            accuracy = metrics.quality.accuracy if metrics.quality else None
            figures = [
                number(report.checkpoint.bits_per_weight, 3),
                percent(metrics.refusal.candidate.rate if metrics.refusal else None),
                points(metrics.refusal.delta if metrics.refusal else None),
                points(accuracy.delta if accuracy else None),
                f"{number(metrics.rtsi.score, 2)} {metrics.rtsi.risk}" if metrics.rtsi else "–",
            ]
            because = _because(report)
        right = {True: "yes", False: "NO", None: "–"}[result.as_labelled]
        table.add_row(
            # as plain text: rich would take a [category] for markup and swallow it
            Text(one_line(result.row.name, 100)),
            *figures,
            Text(result.status, style=styles[result.status]),
            Text(one_line(because, 300)),
            *((right,) if labelled else ()),
        )
    Console(highlight=False, width=None if sys.stdout.isatty() else 150).print(table)
    Console(highlight=False).print(f"matrix: {out / 'matrix.html'}", markup=False, soft_wrap=True)
