import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from release_kit import make_release
from sample_report import passing_report

from qaudit.attest.local_key import PASSWORD_VARIABLE
from qaudit.cli.commands import COMMANDS, PLAIN, LazyCommands
from qaudit.cli.main import run
from qaudit.cli.output_format import print_data, wants_json
from qaudit.report import json_report
from qaudit.suites.writing import SuiteHeader, write_suite
from qaudit.values import Item


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from leaves(inner, f"{path} {name}")
    else:
        yield path, command


# those that read their own words have tests of that themselves
@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - PLAIN))
def test_a_command_that_prints_json_takes_both_options(name: str) -> None:
    command = LazyCommands().get_command(click.Context(click.Command("qaudit")), name)
    for path, leaf in leaves(command, name):
        options = {option for parameter in leaf.params for option in parameter.opts}
        assert ("--json" in options) == ("--format" in options), path
        if path.split()[-1] not in {"demo", "keygen"}:
            assert "--json" in options, path


@pytest.mark.parametrize(
    ("flag", "word", "json"), [(False, "text", False), (True, "text", True), (False, "json", True)]
)
def test_either_option_asks_for_json(flag: bool, word: str, json: bool) -> None:
    assert wants_json(flag, word) is json


def test_another_format_is_a_usage_error() -> None:
    with pytest.raises(typer.BadParameter, match="text or json"):
        wants_json(False, "yaml")


DELTAS = (
    "dominant_prefix_share_delta,unique_prefix_rate_delta,prefix_entropy_norm_delta,mean_tokens_refusal_delta"
)

LOSSES = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.3, 0.4, 0.5)


def placed(words: list[str], out: Path) -> list[str]:
    return [str(out / word.removeprefix("OUT/")) if word.startswith("OUT/") else word for word in words]


def words_for(name: str, folder: Path) -> list[str]:
    """Write what a command reads into `folder`; return its words, with OUT where its output goes."""
    if name in {"sign", "verify"}:
        release = make_release(folder)
        if name == "verify":
            release.sign(now=None)
            return ["verify", str(release.checkpoint), "--key", str(release.public)]
        given = {"--report": release.report, "--key": release.key, "--policy": release.policy}
        return ["sign", str(release.checkpoint), *(str(word) for pair in given.items() for word in pair)]
    if name == "report":
        (folder / "report.json").write_text(json_report.dump(passing_report()), encoding="utf-8")
        return ["report", str(folder / "report.json")]
    inputs = {
        "judge": ("replies.csv", "prompt,completion\nHello,Good day.\n"),
        "rtsi": ("table.csv", f"{DELTAS}\n0,0,0,0\n"),
        "calibrate": (
            "matrix.csv",
            f"{DELTAS},refusal_rate_delta\n"
            + "".join(f"{loss},{2 * loss},{-loss},{100 * loss},{-loss}\n" for loss in LOSSES),
        ),
        "suite import": ("set.csv", "id,prompt,type,label\n1,How?,homonyms,safe\n"),
    }
    words = name.split()
    if name in inputs:
        file, text = inputs[name]
        (folder / file).write_text(text, encoding="utf-8")
        words.append(str(folder / file))
    options = {
        "calibrate": ["--out", "OUT/mine.json"],
        "suite import": ["--out", "OUT/xs", "--expectation", "answer"],
        "suite derive": ["core", "--per-category", "1", "--out", "OUT/variants"],
        "suite show": ["core", "--limit", "2"],
        "suite lint": ["core"],
    }
    return [*words, *options.get(name, [])]


# audit and lab build need an engine: their own tests run them
PRINTING = ["calibrate", "judge", "lab list", "report", "rtsi", "sign", "verify"]
PRINTING += [f"suite {word}" for word in ("derive", "import", "lint", "list", "show")]


@pytest.mark.parametrize("name", PRINTING)
def test_both_options_print_the_same_single_document(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    words = words_for(name, tmp_path)
    documents = []
    for number, asking in enumerate((["--json"], ["--format", "json"])):
        out = tmp_path / str(number)
        out.mkdir()
        assert run([*placed(words, out), *asking]) == 0, capsys.readouterr().err
        documents.append(json.loads(capsys.readouterr().out))
    first, second = documents
    if name == "sign":
        # two signatures differ in their time; the rest must not
        assert [list(each) for each in documents] == [list(first)] * 2
        return
    assert first == second
    assert first


@pytest.mark.parametrize("name", PRINTING)
def test_an_unknown_format_is_one_line_and_2_and_writes_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert run([*placed(words_for(name, tmp_path), out), "--format", "yaml"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "must be text or json" in said.err
    assert not list(out.iterdir())


def test_data_is_utf_8_in_any_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream, encoding="latin-1"))
    print_data("a,b\nZoë,\U0001f642\n")
    assert stream.getvalue() == "a,b\nZoë,\U0001f642\n".encode()


@pytest.mark.parametrize("name", ["judge", "rtsi", "suite show"])
def test_no_row_ends_a_command_in_another_locale(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smile = "\U0001f642"
    words = words_for(name, tmp_path)
    if name == "judge":
        Path(words[-1]).write_text(f"prompt,completion\nHello,{smile}\n", encoding="utf-8")
    elif name == "rtsi":
        Path(words[-1]).write_text(f"model,{DELTAS}\n{smile},0,0,0,0\n", encoding="utf-8")
    else:
        folder = tmp_path / "mine"
        header = SuiteHeader("mine", "1", "MIT", "refuse", "For tests.", {"a": "First"})
        write_suite(folder, header, [Item("mine-0", "a", (smile,))])
        words = ["suite", "show", str(folder), "--json"]
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream, encoding="latin-1"))
    assert run(words) == 0
    assert smile in stream.getvalue().decode()
