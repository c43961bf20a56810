"""`qaudit weights`: what was done to a checkpoint's weights, beside its reference's; no model is run."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from qaudit.cli.output_format import AsJson, OutputFormat, wants_json

if TYPE_CHECKING:
    from qaudit.checkpoints.checkpoint import Checkpoint
    from qaudit.weight_values import WeightsLook

FailOn = Literal["low", "medium", "high", "critical"]


def weights_command(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="The checkpoint to look at: a GGUF file, a folder in Hugging Face layout, or "
            "hf://org/repo@revision/file.",
        ),
    ],
    reference: Annotated[
        str,
        typer.Option(
            "--reference",
            "-r",
            metavar="REF",
            help="The model that it is said to be made from, at 8 bits or more; as above.",
        ),
    ],
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="The least severity of a finding that ends with 1.")
    ] = "high",
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", "-t", min=1, max=1024, help="Default: all processors; the result is the same."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the document there.")
    ] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Say what was done to a checkpoint's weights: nothing but quantizing, an ablation, further training.

    Every tensor is decoded and laid beside the reference's; no model is run. Exit code 0 pass, 1 a finding
    reaches --fail-on, 2 could not be done, 3 something could not be compared.
    """
    from qaudit.cli.quantization_claims import claims_of
    from qaudit.weights.looking import look_at_weights

    wanted_json = wants_json(as_json, output_format)
    console = Console(stderr=True, highlight=False)
    candidate, theirs = _opened(checkpoint, reference, console)
    with _progress(console) as tell:
        look = look_at_weights(candidate, theirs, fail_on=fail_on, threads=threads, tell=tell)
    look = replace(look, claims=claims_of(candidate))
    _show(look, out, wanted_json=wanted_json)
    raise typer.Exit(_exit_code(look))


def _opened(checkpoint: str, reference: str, console: Console) -> "tuple[Checkpoint, Checkpoint]":
    """Open both; what lies here is opened before anything is fetched, for it may be refused at once."""
    from qaudit.checkpoints.hub_spec import hub_text
    from qaudit.checkpoints.opening import open_checkpoint
    from qaudit.checkpoints.served import is_served
    from qaudit.cli.fetch_progress import FetchProgress
    from qaudit.errors import InputError

    for name in (checkpoint, reference):
        if is_served(name):
            raise InputError(f"{name}: a served model shows no weights; name its files, or use qaudit audit")
    opened: dict[str, Checkpoint] = {}
    for name in sorted({checkpoint, reference}, key=lambda name: hub_text(name) is not None):
        if hub_text(name) is None:
            opened[name] = open_checkpoint(name)
        else:
            with FetchProgress(console, name) as progress:
                opened[name] = open_checkpoint(name, progress=progress)
    return opened[checkpoint], opened[reference]


def _show(look: "WeightsLook", out: Path | None, *, wanted_json: bool) -> None:
    """Print the document, or write it and say in words on stderr what is in it."""
    from qaudit.files import write_atomically
    from qaudit.report import weights_terminal
    from qaudit.report.plain_values import document_text

    if out is not None:
        write_atomically(out, document_text(look) if wanted_json else weights_terminal.text(look))
        weights_terminal.render(look, Console(stderr=True, highlight=False))
        sys.stderr.write(f"written: {out}\n")
    elif wanted_json:
        # it is read back as UTF-8, whatever the terminal's encoding is
        sys.stdout.flush()
        sys.stdout.buffer.write(document_text(look).encode())
        sys.stdout.buffer.flush()
    else:
        weights_terminal.render(look, Console(highlight=False))


def _exit_code(look: "WeightsLook") -> int:
    from qaudit.cli.audit_command import exit_code

    return exit_code(look.status)


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], None] | None]:
    """Show which tensor is read while it is, on a terminal only."""
    if not console.is_terminal:
        yield None
        return
    from rich.text import Text

    from qaudit.report.untrusted import one_line

    with console.status("comparing") as status:
        yield lambda name: status.update(Text(f"comparing {one_line(name, 80)}"))
