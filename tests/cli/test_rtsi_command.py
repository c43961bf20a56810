import csv
import io
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from qaudit.cli.rtsi_command import rtsi_command
from qaudit.errors import MalformedFile

TABLE = (
    "base_model,dominant_prefix_share_delta,unique_prefix_rate_delta,prefix_entropy_norm_delta,"
    "mean_tokens_refusal_delta\n"
    "phi-2,0.05494505494505497,0.9340659340659341,-0.1681344914728643,170.6153846153846\n"
    "calm,0,0,0,0\n"
)


@pytest.fixture
def app() -> typer.Typer:
    application = typer.Typer()
    application.command()(rtsi_command)
    return application


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def test_prints_the_table_with_scores(app: typer.Typer, table: Path) -> None:
    result = CliRunner().invoke(app, [str(table)])
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["rtsi_risk"] for row in rows] == ["HIGH", "LOW"]
    assert float(rows[0]["rtsi_score"]) == pytest.approx(0.619938801669691, abs=1e-4)
    assert "published-45" in result.stderr
    assert "1 LOW, 0 MODERATE, 1 HIGH" in result.stderr


def test_json_is_one_document(app: typer.Typer, table: Path) -> None:
    result = CliRunner().invoke(app, [str(table), "--json"])
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [row["base_model"] for row in rows] == ["phi-2", "calm"]
    assert rows[1]["rtsi_score"] == 0.0


def test_another_calibration_gives_other_tiers(app: typer.Typer, table: Path, tmp_path: Path) -> None:
    names = ("dominant_prefix_share", "unique_prefix_rate", "prefix_entropy_norm", "mean_tokens_refusal")
    calibration = tmp_path / "calibration.json"
    calibration.write_text(
        json.dumps(
            {
                "name": "only-shares",
                "weights": dict(zip(names, (1.0, 0.0, 0.0, 0.0), strict=True)),
                "maxima": dict.fromkeys(names, 1.0),
                "cut_offs": {"moderate": 0.1, "high": 0.4},
            }
        )
    )
    result = CliRunner().invoke(app, [str(table), "--calibration", str(calibration)])
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["rtsi_risk"] for row in rows] == ["LOW", "LOW"]
    assert "only-shares" in result.stderr


def test_a_wrong_table_prints_nothing_on_stdout(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(TABLE.replace("calm,0", "calm,nan"))
    result = CliRunner().invoke(app, [str(path)])
    assert isinstance(result.exception, MalformedFile)
    assert result.stdout == ""
