"""`qaudit inspect`: what a download holds, before anything loads it.

People wait for its start, so it reads its words with argparse (typer brings pydantic to do that) and
imports what it needs when it needs it.
"""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, cast, get_args

from qaudit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qaudit.findings import Inspection, Severity
    from qaudit.static.looking import Progress

Format = Literal["text", "json", "sarif", "cyclonedx"]
FailOn = Literal["low", "medium", "high", "critical"]
ABOUT = "Inspect downloads without running, loading or unpickling anything of them; offline, without torch."
EXIT_CODES = (
    "Ends with 0 when nothing reaches --fail-on and everything was looked at, 1 when a finding does, 2 when a"
    " target cannot be read, 3 when a part that could hold something was not examined; of several targets,"
    " 1 counts before 2, and 2 before 3."
)


class _Words(argparse.ArgumentParser):
    """A parser whose complaints are one line, as those of all commands."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see qaudit inspect --help")


class _Help(argparse.HelpFormatter):
    def add_usage(
        self, usage: str | None, actions: object, groups: object, prefix: str | None = None
    ) -> None:
        super().add_usage(usage, actions, groups, "Usage: ")  # type: ignore[arg-type]


def _parser() -> argparse.ArgumentParser:
    words = _Words(
        "qaudit inspect",
        "qaudit inspect [OPTIONS] TARGET...",
        ABOUT,
        EXIT_CODES,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    words.add_argument(
        "targets",
        metavar="TARGET",
        nargs="*",
        help="a file (of a split GGUF: any of its parts), a folder, or hf://ORG/REPO[@REV][/FILE]",
    )
    words.add_argument(
        "--format",
        choices=get_args(Format),
        default="text",
        help="what to print; cyclonedx is a bill of materials and hashes every file (default: text)",
    )
    words.add_argument("--json", action="store_true", help="the same as --format json")
    words.add_argument(
        "--fail-on",
        choices=get_args(FailOn),
        default="high",
        help="the least severity of a finding that ends with 1 (default: high)",
    )
    words.add_argument(
        "--reference", "-r", metavar="REF", help="the model that it was made from, to compare with"
    )
    words.add_argument(
        "--deep", action="store_true", help="read the values of the weights too; as slow as the disk"
    )
    words.add_argument("--hash", action="store_true", help="take the SHA-256 of every file into the document")
    words.add_argument("--out", "-o", metavar="FILE", type=Path, help="write the document there")
    words.add_argument("--list-rules", action="store_true", help="list all rules, and end")
    return words


def inspect_command(arguments: list[str]) -> int:
    """Run the command with the words after its name; return its exit code.

    Raises:
        InputError: the words make no sense, or the only target cannot be read.
        EnvironmentProblem: an extra is missing, or the document cannot be written.
    """
    try:
        asked = _parser().parse_args(arguments)
    except SystemExit as end:  # --help
        return int(end.code or 0)
    wanted: Format = "json" if asked.json else asked.format
    if asked.list_rules:
        _deliver(_rules_text(wanted), asked.out)
        return 0
    if not asked.targets:
        raise InputError("give at least one file, folder or hf:// address; see qaudit inspect --help")
    inspections, unreadable = _inspected(
        asked.targets,
        asked.reference,
        cast("Severity", asked.fail_on),
        deep=asked.deep,
        hash_files=asked.hash or wanted == "cyclonedx",
    )
    if inspections:
        _show(inspections, wanted, asked.out)
    return _worst([inspection.status for inspection in inspections], unreadable=unreadable)


def _inspected(
    targets: "Sequence[str]", reference: str | None, fail_on: "Severity", *, deep: bool, hash_files: bool
) -> "tuple[list[Inspection], bool]":
    """Return what was found in each target; one that cannot be read is told, and the others still count."""
    from qaudit.static.inspecting import inspect_target

    inspections: list[Inspection] = []
    unreadable = False
    for target in targets:
        try:
            with _progress(target) as progress:
                inspections.append(
                    inspect_target(
                        target,
                        reference=reference,
                        deep=deep,
                        fail_on=fail_on,
                        hash_files=hash_files,
                        progress=progress,
                    )
                )
        except InputError as error:
            if len(targets) == 1:
                raise
            sys.stderr.write(f"qaudit: {error}\n")
            unreadable = True
    return inspections, unreadable


def _show(inspections: "Sequence[Inspection]", wanted: Format, out: Path | None) -> None:
    """Print the document, or write it and say in words on stderr what is in it."""
    if wanted == "text" and out is None:
        _say(inspections, to_stderr=False)
        return
    _deliver(_document(inspections, wanted), out)
    if out is not None:
        _say(inspections, to_stderr=True)
        sys.stderr.write(f"written: {out}\n")


def _document(inspections: "Sequence[Inspection]", wanted: Format) -> str:
    if wanted == "json":
        from qaudit.report import inspection_json

        return inspection_json.dump(inspections)
    if wanted == "sarif":
        from qaudit.report import inspection_sarif

        return inspection_sarif.render(inspections)
    if wanted == "cyclonedx":
        from qaudit.report import inspection_bom

        return inspection_bom.render(inspections)
    from qaudit.report import inspection_terminal

    return inspection_terminal.text(inspections)


def _say(inspections: "Sequence[Inspection]", *, to_stderr: bool) -> None:
    from rich.console import Console

    from qaudit.report import inspection_terminal

    console = Console(stderr=to_stderr, highlight=False)
    for number, inspection in enumerate(inspections):
        if number:
            console.print()
        inspection_terminal.render(inspection, console)


def _deliver(document: str, out: Path | None) -> None:
    from qaudit.files import write_atomically

    if out is None:
        # it is read back as UTF-8, whatever the terminal's encoding is
        sys.stdout.flush()
        sys.stdout.buffer.write(document.encode())
        sys.stdout.buffer.flush()
    else:
        write_atomically(out, document)


def _rules_text(wanted: Format) -> str:
    from qaudit.static.catalogue import rules_as_json, rules_as_text

    if wanted in ("sarif", "cyclonedx"):
        raise InputError("--format: rules are listed as text or json; see qaudit inspect --help")
    return rules_as_json() if wanted == "json" else rules_as_text()


def _worst(statuses: "Sequence[str]", *, unreadable: bool) -> int:
    from qaudit.errors import ExitCode

    if "fail" in statuses:
        return int(ExitCode.GATE_FAILED)
    if unreadable:
        return int(ExitCode.UNABLE)
    return int(ExitCode.INCONCLUSIVE if "inconclusive" in statuses else ExitCode.PASS)


@contextlib.contextmanager
def _progress(target: str) -> "Iterator[Progress | None]":
    """Show what is looked at while it is, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    from qaudit.report.untrusted import one_line

    with Console(stderr=True).status("") as status:

        def told(path: str, done: int, total: int) -> None:
            # a Text would be no markup either; brackets in names are not ours to interpret
            shown = one_line(f"{target}: {path}", 100).replace("[", "\\[")
            status.update(f"{shown} ({done}/{total})")

        yield told
