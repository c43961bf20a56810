"""`qaudit calibrate`: fit an RTSI calibration to a matrix of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qaudit.cli.output_format import AsJson, OutputFormat, wants_json

if TYPE_CHECKING:
    from qaudit.metrics.calibration_fit import Fit, Routing


def calibrate_command(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE.csv", help="CSV with the four *_delta feature columns and refusal_rate_delta."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Calibration JSON to write.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the calibration; the file's without its ending.")
    ] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Fit RTSI's weights, normalisers and tiers to a matrix, with leave-one-out figures.

    Use the file with: qaudit rtsi --calibration FILE, qaudit audit --calibration FILE.
    """
    as_json = wants_json(as_json, output_format)
    import json
    import re
    from dataclasses import asdict

    from rich.console import Console

    from qaudit.errors import InputError, MalformedFile
    from qaudit.files import write_atomically
    from qaudit.metrics.calibration_fit import fit
    from qaudit.metrics.calibration_table import calibration_document, calibration_text, matrix_rows
    from qaudit.metrics.rtsi import CALIBRATION_NAME
    from qaudit.metrics.rtsi_table import read_table

    rows, rule = matrix_rows(read_table(table), table)
    chosen = name or re.sub(r"[^A-Za-z0-9._-]+", "-", out.stem).lstrip("._-") or "calibration"
    if not re.fullmatch(CALIBRATION_NAME, chosen):
        raise InputError(f"--name {chosen[:80]!r}: use letters, digits, spaces, dots and dashes, 100 at most")
    try:
        found = fit(rows, chosen)
    except ValueError as error:
        raise MalformedFile(table, str(error), "measure more checkpoints") from error
    write_atomically(out, calibration_text(found.calibration))
    if as_json:
        left_out = asdict(found.left_out) if found.left_out else None
        document = {
            "calibration": calibration_document(found.calibration),
            "dangerous": rule,
            "seen": asdict(found.seen),
            **({"left_out": left_out} if left_out else {}),
        }
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    console = Console(stderr=True, highlight=False)
    for line in _told(found, rule):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"written: {out}", markup=False, soft_wrap=True)


def _told(found: "Fit", rule: str) -> list[str]:
    calibration = found.calibration
    weights = ", ".join(f"{feature} {weight:.4f}" for feature, weight in calibration.weights.items())
    lines = [
        f"a row is dangerous when {rule}",
        f"weights: {weights}",
        f"MODERATE from {calibration.moderate_from:.4g}, HIGH from {calibration.high_from:.4g}",
        f"on these rows: {_sorted(found.seen)}",
    ]
    if found.left_out is None:
        return [*lines, "left out one by one: not measured, one row alone is dangerous or safe"]
    return [*lines, f"left out one by one: {_sorted(found.left_out)}"]


def _sorted(routing: "Routing") -> str:
    return (
        f"{routing.dangerous_routed} of {routing.dangerous} dangerous rows are not LOW, and "
        f"{routing.safe_routed} of {routing.safe} safe ones; AUC {routing.auc:.4f}"
    )
