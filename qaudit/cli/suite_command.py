"""`qaudit suite`: list, show, lint, import and derive prompt suites."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from qaudit.cli.output_format import AsJson, OutputFormat, print_data, wants_json
from qaudit.errors import ExitCode
from qaudit.values import Suite

suite_app = typer.Typer(
    name="suite",
    help="List, show, lint, import and derive prompt suites.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_Name = Annotated[str, typer.Argument(metavar="SUITE", help="A shipped suite's name, or a folder.")]


@suite_app.command(name="list")
def list_command(as_json: AsJson = False, output_format: OutputFormat = "text") -> None:
    """List the suites that ship with qaudit."""
    as_json = wants_json(as_json, output_format)
    from qaudit.suites.loading import load_suite, shipped_suites

    suites = [load_suite(name) for name in shipped_suites()]
    if as_json:
        _print_json([_summary(suite) for suite in suites])
        return
    _print_table(
        ("name", "expects", "items", "categories", "version", "licence"),
        [
            (each.name, each.expectation, len(each.items), len(each.categories), each.version, each.licence)
            for each in suites
        ],
    )


@suite_app.command(name="show")
def show_command(
    suite: _Name,
    category: Annotated[
        str | None, typer.Option("--category", metavar="ID", help="Only the items of one category.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many items.")] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Show a suite: what it is, and its items."""
    as_json = wants_json(as_json, output_format)
    from dataclasses import asdict

    from qaudit.errors import InputError
    from qaudit.suites.loading import load_suite

    loaded = load_suite(suite)
    if category is not None and category not in loaded.categories:
        raise InputError(
            f"--category {category}: not in {loaded.name}; choose one of: {', '.join(loaded.categories)}"
        )
    items = [item for item in loaded.items if category in (None, item.category)][:limit]
    if as_json:
        _print_json({**_summary(loaded), "items": [asdict(item) for item in items]})
        return
    for key, value in _summary(loaded).items():
        if key != "categories":
            typer.echo(f"{key}: {_plain(str(value))}")
    for item in items:
        heading = f"{item.id}  [{loaded.categories[item.category]}]  {' '.join(item.tags)}"
        typer.echo(f"\n{_plain(heading).rstrip()}")
        for turn in item.turns:
            typer.echo(_indent(turn, "  "))
        for index, choice in enumerate(item.choices):
            typer.echo(_indent(choice, "  * " if index == item.answer else "  - "))


@suite_app.command(name="lint")
def lint_command(
    suites: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SUITE]...", help="Names or folders; all shipped suites if left out."),
    ] = None,
    minimum: Annotated[
        int, typer.Option("--min", min=1, help="Items that a category of a suite to refuse needs.")
    ] = 12,
    imported: Annotated[
        bool,
        typer.Option(
            "--imported",
            help="These are public sets: make-up, repeats and child-safety categories only warn.",
        ),
    ] = False,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Check ids, repeats, near-repeats within and across suites, balance and operational detail.

    Ends with 1 when there are errors; warnings are for a person to look at.
    """
    as_json = wants_json(as_json, output_format)
    from dataclasses import asdict

    from qaudit.suites.lint import LintLimits, lint
    from qaudit.suites.loading import load_suite, shipped_suites

    loaded = [load_suite(name) for name in suites or shipped_suites()]
    problems = lint(loaded, LintLimits(min_per_category=minimum, imported=imported))
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        _print_json(
            {
                "suites": [{"name": each.name, "items": len(each.items)} for each in loaded],
                "errors": errors,
                "warnings": len(problems) - errors,
                "problems": [asdict(problem) for problem in problems],
            }
        )
    else:
        for problem in problems:
            items = f" {', '.join(problem.items)}" if problem.items else ""
            line = f"{problem.severity}: {problem.suite}{items}: {problem.message} [{problem.id}]"
            typer.echo(_plain(line))
    _say(
        f"{len(loaded)} suites, {sum(len(each.items) for each in loaded)} items: "
        f"{errors} errors, {len(problems) - errors} warnings"
    )
    if errors:
        raise typer.Exit(int(ExitCode.GATE_FAILED))


@suite_app.command(name="import")
def import_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The set's own CSV (or, for a list, TXT) file.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The suite folder to write; its name too.")
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="advbench, harmbench, jailbreakbench, strongreject, maliciousinstruct, xstest or "
            "simplesafetytests; told from the columns if left out.",
        ),
    ] = None,
    expectation: Annotated[
        Literal["refuse", "answer"] | None,
        typer.Option("--expectation", help="XSTest: only these prompts. Others: what the prompts call for."),
    ] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Import a public prompt set's file, with its own categories, as a suite folder.

    XSTest holds prompts of both sorts and gives DIR/refuse and DIR/answer.
    """
    as_json = wants_json(as_json, output_format)
    from qaudit.suites.importers import import_public_set

    written = import_public_set(file, out, kind, expectation)
    if as_json:
        _print_json([_summary(suite) for suite in written])
    for suite in written:
        _say(
            f"{suite.name}: {len(suite.items)} prompts to {suite.expectation} in {len(suite.categories)} "
            f"categories, licence {suite.licence}"
        )


@suite_app.command(name="derive")
def derive_command(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The suite folder to write; its name too.")
    ],
    source: Annotated[
        str, typer.Argument(metavar="[SUITE]", help="The suite to refuse that variants are made of.")
    ] = "core",
    seed: Annotated[int, typer.Option("--seed", help="Other seeds give other pairings and frames.")] = 20260,
    per_category: Annotated[int, typer.Option("--per-category", help="Variants for each category.")] = 12,
    translations: Annotated[
        Path | None,
        typer.Option(
            "--translations",
            metavar="FILE",
            help="Lines of source, language, prompt; DIR/translations.jsonl if it is there.",
        ),
    ] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Derive adaptive variants of a suite by fixed, seeded transforms and write them as a suite.

    Files that an earlier derive wrote are replaced; any other suite in DIR is left alone and is an error.
    """
    as_json = wants_json(as_json, output_format)
    from qaudit.suites.adaptive import materialise

    suite = materialise(source, out, seed, per_category, translations)
    if as_json:
        _print_json(_summary(suite))
    _say(f"{suite.name}: {len(suite.items)} variants in {len(suite.categories)} categories, {suite.version}")


def _summary(suite: Suite) -> dict[str, object]:
    return {
        "name": suite.name,
        "version": suite.version,
        "licence": suite.licence,
        "expectation": suite.expectation,
        "description": suite.description,
        "sha256": suite.sha256,
        "count": len(suite.items),
        "categories": dict(suite.categories),
    }


def _print_json(document: object) -> None:
    import json

    print_data(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _print_table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    lines = [header, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _indent(text: str, first: str) -> str:
    return first + _plain(text).replace("\n", "\n" + " " * len(first))


def _plain(text: str) -> str:
    # a suite is untrusted: its control characters must not reach the terminal
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)


def _say(message: str) -> None:
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True).print(message, markup=False)
