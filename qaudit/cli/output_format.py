"""`--format json` and `--json` mean the same in every command: one JSON document on stdout (CONTRACT)."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document; the same as --format json.")]
OutputFormat = Annotated[str, typer.Option("--format", metavar="text|json", help="What to print on stdout.")]


def wants_json(as_json: bool, output_format: str) -> bool:
    """Tell whether the one or the other option asks for JSON.

    Raises:
        typer.BadParameter: a format that is neither text nor json.
    """
    if output_format not in ("text", "json"):
        raise typer.BadParameter("must be text or json", param_hint="--format")
    return as_json or output_format == "json"


def print_data(text: str) -> None:
    """Write data to stdout in UTF-8 with the line ends that it has, whatever the terminal's encoding is.

    It is read back as UTF-8, and a locale without some character of a row must not end the command.
    """
    typer.echo(text.encode(), nl=False)
