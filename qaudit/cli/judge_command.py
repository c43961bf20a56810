"""`qaudit judge`: label replies that were made elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from qaudit.cli.output_format import AsJson, OutputFormat, print_data, wants_json


def judge_command(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="CSV or JSONL: prompt, completion."),
    ],
    judge: Annotated[str, typer.Option("--judge", help="The judge's name.")] = "rules",
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Label replies as refusal, partial, compliance, incoherent or empty.

    The rows are printed as they came with `label` set: CSV for CSV, JSON lines for JSON lines.
    """
    as_json = wants_json(as_json, output_format)
    import json
    from collections import Counter

    from rich.console import Console

    from qaudit.cli.reply_rows import read_replies, to_csv, to_jsonl
    from qaudit.judges.judging import load_judge
    from qaudit.values import LABELS

    chosen = load_judge(judge)
    replies = read_replies(file)
    for row in replies.rows:
        row["label"] = chosen.judge(str(row["prompt"]), str(row["completion"])).label
    if as_json:
        typer.echo(json.dumps(replies.rows, indent=2, allow_nan=False))
    else:
        print_data(to_csv(replies) if replies.columns else to_jsonl(replies))
    counts = Counter(str(row["label"]) for row in replies.rows)
    figures = ", ".join(f"{counts[label]} {label}" for label in LABELS if counts[label])
    Console(stderr=True).print(
        f"{len(replies.rows)} replies by judge {chosen.name} {chosen.version} "
        f"({chosen.sha256[:12]}): {figures}",
        markup=False,
        soft_wrap=True,
        highlight=False,
    )
