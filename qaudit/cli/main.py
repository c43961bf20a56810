"""`qaudit`: runs a command, and turns errors into one line and an exit code."""

import io
import os
import sys

from qaudit.errors import ExitCode, QauditError
from qaudit.files import long_names_refused


def run(arguments: list[str] | None = None) -> int:
    """Run a command line; return its exit code.

    This is the only place that catches everything: an unexpected error becomes one line too, and
    its traceback is shown when QAUDIT_DEBUG is set.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        with long_names_refused():
            return _run(words)
    except QauditError as error:
        _complain(str(error))
        return int(error.exit_code)
    except KeyboardInterrupt:
        _complain("interrupted; an audit or a realignment goes on with --resume")
        return int(ExitCode.UNABLE)
    except BrokenPipeError:
        # the reader of our output has gone; leave nothing for the interpreter to flush into it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.UNABLE)
    except Exception as error:
        if os.environ.get("QAUDIT_DEBUG"):
            raise
        _complain(f"internal error ({type(error).__name__}: {error}); set QAUDIT_DEBUG=1 and report it")
        return int(ExitCode.UNABLE)


def _run(words: list[str]) -> int:
    # of this command people wait for the start, and typer takes longer to load than it to run
    if words[:1] == ["inspect"]:
        from qaudit.cli.inspect_command import inspect_command

        return inspect_command(words[1:])
    from qaudit.cli.commands import run_application

    return run_application(words)


def _complain(message: str) -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"qaudit: {' '.join(message.split())}", markup=False, style="red")


def main() -> None:
    """Entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # replies and names hold what a terminal's encoding may not: shown as an escape, never an error
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run())
