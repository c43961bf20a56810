"""`qaudit suite`: what goes to stdout, what is one JSON document, and the exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qaudit.cli.suite_command import suite_app
from qaudit.errors import InputError, MalformedFile, SuiteError
from qaudit.suites.loading import load_suite, shipped_suites
from qaudit.suites.writing import SuiteHeader, write_suite
from qaudit.values import Item

runner = CliRunner()


def made(folder: Path, count: int = 12, extra: tuple[Item, ...] = ()) -> Path:
    items = [Item(f"{folder.name}-{n}", "a", (f"number {n} of {folder.name} {n * n}",)) for n in range(count)]
    header = SuiteHeader(folder.name, "1", "MIT", "refuse", "For tests.", {"a": "First"})
    write_suite(folder, header, [*items, *extra])
    return folder


def test_list() -> None:
    result = runner.invoke(suite_app, ["list"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["name", "expects", "items", "categories", "version", "licence"]
    assert [line.split()[0] for line in lines[1:]] == shipped_suites()
    document = json.loads(runner.invoke(suite_app, ["list", "--json"]).stdout)
    assert [each["name"] for each in document] == shipped_suites()
    assert next(each for each in document if each["name"] == "core")["sha256"] == load_suite("core").sha256


def test_show(tmp_path: Path) -> None:
    hostile = Item("mine-x", "a", ("Two\nlines", "\x1b[31mred\x1b[0m"), tags=("t:1",))
    folder = made(tmp_path / "mine", extra=(hostile,))
    result = runner.invoke(suite_app, ["show", str(folder)])
    assert result.exit_code == 0
    assert "count: 13" in result.stdout
    assert "mine-x  [First]  t:1\n  Two\n  lines\n" in result.stdout
    # a suite's control characters do not reach the terminal
    assert "\x1b" not in result.stdout
    document = json.loads(runner.invoke(suite_app, ["show", str(folder), "--limit", "2", "--json"]).stdout)
    assert [item["id"] for item in document["items"]] == ["mine-0", "mine-1"]
    assert document["count"] == 13


def test_show_choices_and_one_category() -> None:
    result = runner.invoke(suite_app, ["show", "quality", "--category", "maths", "--limit", "1"])
    assert result.exit_code == 0
    assert result.stdout.count("  * ") == 1
    assert result.stdout.count("  - ") == 3
    wrong = runner.invoke(suite_app, ["show", "quality", "--category", "nothing"])
    assert isinstance(wrong.exception, InputError)
    assert "choose one of: geography" in str(wrong.exception)


def test_show_what_is_not_there() -> None:
    result = runner.invoke(suite_app, ["show", "nowhere"])
    assert isinstance(result.exception, SuiteError)


def test_lint_passes_warns_and_fails(tmp_path: Path) -> None:
    clean = made(tmp_path / "clean")
    result = runner.invoke(suite_app, ["lint", str(clean)])
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "1 suites, 12 items: 0 errors, 0 warnings" in result.stderr
    warned = made(tmp_path / "warned", extra=(Item("warned-x", "a", ("take 20 grams",)),))
    result = runner.invoke(suite_app, ["lint", str(warned)])
    assert result.exit_code == 0
    assert result.stdout.startswith("warning: warned warned-x: it holds a quantity")
    small = made(tmp_path / "small", count=3)
    result = runner.invoke(suite_app, ["lint", str(clean), str(small)])
    assert result.exit_code == 1
    assert "[category-small]" in result.stdout
    assert runner.invoke(suite_app, ["lint", "--min", "3", str(small)]).exit_code == 0
    assert runner.invoke(suite_app, ["lint", "--imported", str(small)]).exit_code == 0


def test_lint_as_json(tmp_path: Path) -> None:
    small = made(tmp_path / "small", count=3)
    result = runner.invoke(suite_app, ["lint", "--json", str(small)])
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["errors"], document["warnings"]) == (1, 0)
    assert document["suites"] == [{"name": "small", "items": 3}]
    assert document["problems"][0]["id"] == "category-small"


def test_lint_takes_the_shipped_suites_by_default() -> None:
    document = json.loads(runner.invoke(suite_app, ["lint", "--json"]).stdout)
    assert [each["name"] for each in document["suites"]] == shipped_suites()


def test_import(tmp_path: Path) -> None:
    file = tmp_path / "set.csv"
    file.write_text(
        "id,prompt,type,label\n1,How?,homonyms,safe\n2,Why?,contrast_homonyms,unsafe\n", encoding="utf-8"
    )
    result = runner.invoke(suite_app, ["import", str(file), "--out", str(tmp_path / "xs"), "--json"])
    assert result.exit_code == 0
    assert [each["name"] for each in json.loads(result.stdout)] == ["xs-refuse", "xs-answer"]
    assert "xs-answer: 1 prompts to answer in 1 categories, licence CC-BY-4.0" in result.stderr
    one = runner.invoke(
        suite_app, ["import", str(file), "--out", str(tmp_path / "safe"), "--expectation", "answer"]
    )
    assert one.exit_code == 0
    assert one.stdout == ""
    assert load_suite(tmp_path / "safe").expectation == "answer"
    wrong = runner.invoke(
        suite_app, ["import", str(file), "--out", str(tmp_path / "no"), "--kind", "advbench"]
    )
    assert isinstance(wrong.exception, MalformedFile)
    assert not (tmp_path / "no").exists()


def test_derive(tmp_path: Path) -> None:
    folder = made(tmp_path / "mine")
    arguments = ["derive", str(folder), "--out", str(tmp_path / "variants"), "--per-category", "7"]
    result = runner.invoke(suite_app, [*arguments, "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["count"] == 7
    first = load_suite(tmp_path / "variants")
    assert runner.invoke(suite_app, [*arguments, "--seed", "1"]).exit_code == 0
    assert load_suite(tmp_path / "variants").items != first.items
    wrong = runner.invoke(suite_app, ["derive", str(folder), "--out", str(folder)])
    assert isinstance(wrong.exception, InputError)


def test_derive_defaults_are_those_of_the_shipped_suite(tmp_path: Path) -> None:
    translations = Path(__file__).parents[2] / "suites" / "adaptive" / "translations.jsonl"
    out = tmp_path / "adaptive"
    result = runner.invoke(suite_app, ["derive", "--out", str(out), "--translations", str(translations)])
    assert result.exit_code == 0
    assert load_suite(out) == load_suite("adaptive")


@pytest.mark.parametrize("command", ["list", "show", "lint", "import", "derive"])
def test_help(command: str) -> None:
    assert runner.invoke(suite_app, [command, "--help"]).exit_code == 0
