"""The commands as one typer application; each is imported only when it runs."""

import importlib
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from qaudit import __version__
from qaudit.errors import InputError

# name -> module, function or sub-application, and the line for --help; loaded when used, so that one
# command does not pay for the imports of another
COMMANDS = {
    "audit": ("qaudit.cli.audit_command", "audit_command", "Audit a checkpoint against its reference."),
    "calibrate": ("qaudit.cli.calibrate_command", "calibrate_command", "Fit an RTSI calibration."),
    "demo": ("qaudit.cli.demo_command", "demo_command", "Run the whole loop on the lab's checkpoints."),
    "inspect": (
        "qaudit.cli.inspect_command",
        "inspect_command",
        "Look at a download before anything loads it.",
    ),
    "judge": ("qaudit.cli.judge_command", "judge_command", "Label replies that were made elsewhere."),
    "keygen": ("qaudit.cli.keygen_command", "keygen_command", "Make a signing key pair."),
    "lab": ("qaudit.cli.lab_command", "lab_app", "The labelled zoo of tiny checkpoints."),
    "matrix": ("qaudit.cli.matrix_command", "matrix_command", "Audit many checkpoints; a table and a page."),
    "pack": ("qaudit.cli.pack_command", "pack_command", "Write a signed checkpoint as an OCI image layout."),
    "realign": (
        "qaudit.cli.realign_command",
        "realign_command",
        "Quantize again so that refusals survive.",
    ),
    "report": ("qaudit.cli.report_command", "report_command", "Render a report again."),
    "rtsi": ("qaudit.cli.rtsi_command", "rtsi_command", "Score a table of refusal-template features."),
    "sign": ("qaudit.cli.sign_command", "sign_command", "Sign a checkpoint with its audit."),
    "suite": ("qaudit.cli.suite_command", "suite_app", "List, show, lint, import and derive prompt suites."),
    "verify": ("qaudit.cli.verify_command", "verify_command", "Check a signed checkpoint before loading it."),
    "weights": (
        "qaudit.cli.weights_command",
        "weights_command",
        "Say what was done to a checkpoint's weights.",
    ),
}
# with an option parser of its own: typer takes longer to load than the command to run
PLAIN = frozenset({"inspect"})
# what typer turns Ctrl-C into
INTERRUPTED = 130


class PlainCommand(TyperCommand):
    """A command that reads its own words; typer reaches it only by odd ways such as `qaudit -- inspect`."""

    def __init__(self, name: str, summary: str, function: Callable[[list[str]], int]) -> None:
        anything = {"ignore_unknown_options": True, "allow_extra_args": True}
        super().__init__(name, help=summary, add_help_option=False, context_settings=anything)
        self._function = function

    def invoke(self, ctx: Any) -> int:  # noqa: ANN401
        """Hand the words on."""
        return self._function(list(ctx.args))


class LazyCommands(TyperGroup):
    """A command group that imports a command only when it runs."""

    _only_summaries = False

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the help of the whole, for which no command need be imported."""
        self._only_summaries = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._only_summaries = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        """Return one command, imported; for --help of the whole only a stand-in with its summary."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, summary = COMMANDS[cmd_name]
        if self._only_summaries:
            return TyperCommand(cmd_name, short_help=summary, help=summary)
        loaded = getattr(importlib.import_module(module), attribute)
        if cmd_name in PLAIN:
            return PlainCommand(cmd_name, summary, loaded)
        if isinstance(loaded, typer.Typer):
            command = typer.main.get_command(loaded)
        else:
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command(name=cmd_name)(loaded)
            command = typer.main.get_command(single)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyCommands,
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        sys.stdout.write(f"qaudit {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Is a quantized LLM checkpoint still as safe as the model it was made from?

    Exit codes: 0 passed, 1 the gate failed, 2 could not do it, 3 inconclusive.
    """
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


def run_application(arguments: list[str]) -> int:
    """Run a command line; return its exit code.

    Raises:
        InputError: the words make no command.
        KeyboardInterrupt: somebody pressed Ctrl-C.
        QauditError: as the command.
    """
    command: Callable[..., Any] = typer.main.get_command(app)
    try:
        result = command(args=arguments, prog_name="qaudit", standalone_mode=False)
    except typer.Exit as error:
        result = error.exit_code
    except TyperException as error:
        # usage errors know how to word themselves; the plain text of some is empty
        message = getattr(error, "format_message", error.__str__)()
        raise InputError(f"{message.rstrip('.')}; see qaudit --help") from error
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    if result == INTERRUPTED:
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0
