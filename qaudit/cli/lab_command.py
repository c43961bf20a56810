"""`qaudit lab`: list and build the labelled zoo of tiny checkpoints."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from qaudit.cli.output_format import AsJson, OutputFormat, wants_json

lab_app = typer.Typer(
    help="The labelled zoo of tiny checkpoints.", no_args_is_help=True, add_completion=False
)


@lab_app.command("list")
def list_members(
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """List the members: how each is made, its label, and what an audit must say."""
    as_json = wants_json(as_json, output_format)
    from qaudit.lab.members import ZOO

    if as_json:
        rows = [
            {
                "name": m.name,
                "format": m.format,
                "quantization": m.quantization,
                "label": m.label,
                "made": m.made,
                "expected": {"status": m.expected.status, "rules": list(m.expected.rules)},
            }
            for m in ZOO
        ]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    table = Table("member", "format", "type", "label", "made", "verdict", "rules that fail")
    for m in ZOO:
        rules = ", ".join(m.expected.rules) or "none"
        table.add_row(m.name, m.format, m.quantization, m.label, m.made, m.expected.status, rules)
    Console().print(table)


@lab_app.command("build")
def build_members(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the zoo.")] = Path("lab"),
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Make only this member; may be repeated.")
    ] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Build the zoo: GGUFs with llama.cpp's own tools, AWQ, GPTQ and compressed-tensors with torch.

    What is there already is not made again. Without torch (extra `hf`) its members are left out.
    """
    as_json = wants_json(as_json, output_format)
    from qaudit.engines.worker import require_engine
    from qaudit.lab.members import chosen

    if any(member.format == "gguf" for member in chosen(only or [])):
        require_engine("llama.cpp")
    manifest = build_with_progress(out, only or [], Console(stderr=True))
    if as_json:
        sys.stdout.write(manifest.read_text(encoding="utf-8"))
    else:
        Console(highlight=False).print(f"zoo: {manifest}", markup=False, soft_wrap=True)


def build_with_progress(out: Path, only: list[str], console: Console) -> Path:
    """Build, showing progress on a terminal; return the manifest's path."""
    from qaudit.lab.build import MANIFEST, Built, LeftOut, build

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("lab")
        for event in build(out, only):
            if isinstance(event, Built):
                bars.update(task, completed=bars.tasks[0].total)
                return event.manifest
            if isinstance(event, LeftOut):
                names = ", ".join(member.name for member in event.members)
                console.print(
                    f"left out: {names} ({event.missing})", markup=False, highlight=False, soft_wrap=True
                )
                continue
            word = "kept" if event.cached else "making"
            bars.update(
                task, description=f"{word} {event.member.name}", total=event.total, completed=event.number - 1
            )
            if not console.is_terminal:
                console.print(f"{word} {event.member.name}", markup=False, highlight=False)
    return out / MANIFEST
