"""`qaudit report`: render a report again."""

from pathlib import Path
from typing import Annotated

import typer

from qaudit.cli.output_format import AsJson, OutputFormat, print_data, wants_json


def report_command(
    report: Annotated[Path, typer.Argument(metavar="REPORT.json", help="The report of an audit.")],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the page here; it is one file.")
    ] = None,
    ladder: Annotated[
        list[Path] | None,
        typer.Option(
            "--ladder",
            metavar="REPORT.json",
            help="Report of another checkpoint of the same reference, to be compared with; may be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Render a report again: a summary on the terminal, a page with --html, the checked report with --json.

    The verdict is the one in the report; nothing is measured or decided anew.
    """
    as_json = wants_json(as_json, output_format)
    from rich.console import Console

    from qaudit.errors import InputError
    from qaudit.files import write_atomically
    from qaudit.report import html_report, json_report, terminal

    shown = json_report.load(report)
    rungs = {}
    for path in [report, *(ladder or [])]:
        rung = shown if path == report else json_report.load(path)
        if rung.reference.sha256 != shown.reference.sha256:
            raise InputError(
                f"{path}: audited against another reference than {report}; a ladder has one reference"
            )
        if point := html_report.ladder_point(rung):
            rungs[rung.checkpoint.sha256] = point
        elif ladder:
            raise InputError(
                f"{path}: has no checkpoint.bits_per_weight, so no place on a ladder; leave it out"
            )
    # the page first: where it cannot be written, nothing stands on stdout
    if html is not None:
        write_atomically(html, html_report.render(shown, list(rungs.values())))
    if as_json:
        print_data(json_report.dump(shown))
    console = Console(stderr=True, highlight=False)
    terminal.render(shown, console)
    if html is not None:
        console.print(f"page: {html}", markup=False, soft_wrap=True)
