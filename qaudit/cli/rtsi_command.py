"""`qaudit rtsi`: score a table of refusal-template differences."""

from pathlib import Path
from typing import Annotated

import typer

from qaudit.cli.output_format import AsJson, OutputFormat, print_data, wants_json


def rtsi_command(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE.csv", help="CSV with the four *_delta feature columns.")
    ],
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration", metavar="FILE", help="Calibration JSON; the published one if left out."
        ),
    ] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Score a table with the Refusal Template Stability Index and print it.

    The table is printed as it came, with rtsi_score and rtsi_risk (LOW, MODERATE, HIGH) set.
    """
    as_json = wants_json(as_json, output_format)
    import json

    from rich.console import Console

    from qaudit.metrics.rtsi import PUBLISHED, load_calibration
    from qaudit.metrics.rtsi_table import RISK_COLUMN, read_table, score_table, to_csv, to_records

    chosen = load_calibration(calibration) if calibration else PUBLISHED
    scored = score_table(read_table(table), table, chosen)
    if as_json:
        typer.echo(json.dumps(to_records(scored), indent=2, allow_nan=False))
    else:
        print_data(to_csv(scored))
    tiers = [row[RISK_COLUMN] for row in scored.rows]
    counts = ", ".join(f"{tiers.count(name)} {name}" for name in ("LOW", "MODERATE", "HIGH"))
    unscored = f", {tiers.count('')} without figures" if "" in tiers else ""
    Console(stderr=True).print(
        f"{len(tiers)} rows under calibration {chosen.name}: {counts}{unscored}", markup=False, soft_wrap=True
    )
