import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from qaudit.cli.calibrate_command import calibrate_command
from qaudit.errors import InputError, MalformedFile, OutputProblem
from qaudit.metrics.rtsi import load_calibration
from qaudit.metrics.rtsi_table import DELTA_COLUMNS


@pytest.fixture
def app() -> typer.Typer:
    application = typer.Typer()
    application.command()(calibrate_command)
    return application


@pytest.fixture
def table(tmp_path: Path) -> Path:
    losses = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.3, 0.4, 0.5)
    rows = [f"{loss},{2 * loss},{-loss},{100 * loss},{-loss}" for loss in losses]
    path = tmp_path / "matrix.csv"
    path.write_text("\n".join([",".join([*DELTA_COLUMNS, "refusal_rate_delta"]), *rows]) + "\n")
    return path


def test_writes_a_calibration_and_says_how_well_it_holds(
    app: typer.Typer, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "my matrix.json"
    result = CliRunner().invoke(app, [str(table), "--out", str(out)])
    assert result.exit_code == 0
    assert result.stdout == ""
    assert load_calibration(out).name == "my-matrix"
    assert (
        "on these rows: 3 of 3 dangerous rows are not LOW, and 0 of 7 safe ones; AUC 1.0000" in result.stderr
    )
    assert "left out one by one: 3 of 3" in result.stderr


def test_json_is_one_document(app: typer.Typer, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    result = CliRunner().invoke(app, [str(table), "--out", str(out), "--name", "house 1", "--json"])
    document = json.loads(result.stdout)
    assert document["calibration"] == json.loads(out.read_text())
    assert document["calibration"]["name"] == "house 1"
    assert document["left_out"]["dangerous"] == 3


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--name", "-x"], InputError, "--name '-x'"),
        (["--out", "/nowhere/c.json"], OutputProblem, "cannot write"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    app: typer.Typer, table: Path, tmp_path: Path, words: list[str], error: type[Exception], message: str
) -> None:
    result = CliRunner().invoke(app, [str(table), "--out", str(tmp_path / "c.json"), *words])
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert not (tmp_path / "c.json").exists()


def test_too_few_rows(app: typer.Typer, table: Path, tmp_path: Path) -> None:
    table.write_text("\n".join(table.read_text().splitlines()[:4]) + "\n")
    result = CliRunner().invoke(app, [str(table), "--out", str(tmp_path / "c.json")])
    assert isinstance(result.exception, MalformedFile)
    assert "3 rows are too few" in str(result.exception)
