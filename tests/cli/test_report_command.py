import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from sample_report import failing_report, passing_report
from typer.testing import CliRunner

from qaudit.cli.report_command import report_command
from qaudit.errors import InputError, MalformedFile, OutputProblem
from qaudit.report import html_report, json_report
from qaudit.values import Report


@pytest.fixture
def app() -> typer.Typer:
    application = typer.Typer()
    application.command()(report_command)
    return application


def stored(path: Path, report: Report) -> Path:
    path.write_text(json_report.dump(report), encoding="utf-8")
    return path


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    return stored(tmp_path / "failing.json", failing_report())


@pytest.fixture
def better(tmp_path: Path) -> Path:
    made = passing_report()
    checkpoint = replace(made.checkpoint, sha256="cd" * 32, quantization="Q8_0", bits_per_weight=8.5)
    return stored(tmp_path / "better.json", replace(made, checkpoint=checkpoint))


def test_the_page_is_the_one_of_the_audit_and_the_verdict_stays(
    app: typer.Typer, failing: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, [str(failing), "--html", str(page)])
    assert result.exit_code == 0, "rendering is no gate"
    assert page.read_text(encoding="utf-8") == html_report.render(json_report.load(failing))
    assert "FAIL models/Q2_K.gguf" in result.stderr
    assert result.stdout == ""


def test_without_html_only_the_summary(app: typer.Typer, failing: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    result = CliRunner().invoke(app, [str(failing)])
    assert result.exit_code == 0
    assert "It refuses fewer harmful requests" in result.stderr
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("asking", [["--json"], ["--format", "json"]])
def test_json_is_the_report_as_it_was_checked(
    app: typer.Typer, failing: Path, tmp_path: Path, asking: list[str]
) -> None:
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, [str(failing), "--html", str(page), *asking])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(failing.read_text(encoding="utf-8"))
    assert "FAIL models/Q2_K.gguf" in result.stderr
    assert page.is_file()


def test_a_ladder_has_this_report_and_the_others_each_once(
    app: typer.Typer, failing: Path, better: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    arguments = [str(failing), "--html", str(page), "--ladder", str(better), "--ladder", str(failing)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<b>Q8_0</b>") == text.count("<b>Q2_K</b>") == 1
    assert text.count("this page") == 1


def test_a_ladder_has_one_reference(app: typer.Typer, failing: Path, tmp_path: Path) -> None:
    made = passing_report()
    other = replace(made, reference=replace(made.reference, sha256="99" * 32))
    path = stored(tmp_path / "other.json", other)
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, [str(failing), "--html", str(page), "--ladder", str(path)])
    assert isinstance(result.exception, InputError)
    assert str(path) in str(result.exception)
    assert not page.exists()


def test_a_rung_without_bits_is_refused_by_name(app: typer.Typer, failing: Path, tmp_path: Path) -> None:
    made = passing_report()
    bare = replace(made, checkpoint=replace(made.checkpoint, bits_per_weight=None))
    path = stored(tmp_path / "bare.json", bare)
    result = CliRunner().invoke(app, [str(failing), "--ladder", str(path)])
    assert isinstance(result.exception, InputError)
    assert "bits_per_weight" in str(result.exception)
    assert CliRunner().invoke(app, [str(path)]).exit_code == 0, "alone it needs no bits"


def test_a_wrong_report_leaves_nothing(app: typer.Typer, failing: Path, tmp_path: Path) -> None:
    document = json.loads(failing.read_text())
    document["verdict"]["staus"] = "pass"
    failing.write_text(json.dumps(document))
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, [str(failing), "--html", str(page)])
    assert isinstance(result.exception, MalformedFile)
    assert "unknown key verdict.staus, the nearest known one is status" in str(result.exception)
    assert not page.exists()


def test_an_output_that_cannot_be_written(app: typer.Typer, failing: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "none" / "page.html")
    result = CliRunner().invoke(app, [str(failing), "--html", place, "--json"])
    assert isinstance(result.exception, OutputProblem)
    assert result.stdout == ""
