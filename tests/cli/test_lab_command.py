import json
from pathlib import Path

from typer.testing import CliRunner

from qaudit.cli.lab_command import lab_app
from qaudit.errors import InputError
from qaudit.lab.members import ZOO


def test_list_as_json_is_one_document() -> None:
    result = CliRunner().invoke(lab_app, ["list", "--json"])
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [row["name"] for row in rows] == [member.name for member in ZOO]
    assert all(row["expected"]["status"] in ("pass", "fail") for row in rows)


def test_list_names_every_label() -> None:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(lab_app, ["list"])
    assert result.exit_code == 0
    for member in ZOO:
        assert member.name in result.stdout


def test_build_prints_the_manifest_and_nothing_else(tmp_path: Path) -> None:
    result = CliRunner().invoke(lab_app, ["build", "--out", str(tmp_path), "--only", "Q8_0", "--json"])
    assert result.exit_code == 0
    assert [row["name"] for row in json.loads(result.stdout)] == ["F16", "Q8_0"]
    assert "making Q8_0" in result.stderr
    again = CliRunner().invoke(lab_app, ["build", "--out", str(tmp_path), "--only", "Q8_0"])
    assert "kept Q8_0" in again.stderr
    assert str(tmp_path) in again.stdout
    third = ["build", "--out", str(tmp_path), "--only", "Q8_0", "--format", "json"]
    assert CliRunner().invoke(lab_app, third).stdout == result.stdout


def test_unknown_member(tmp_path: Path) -> None:
    result = CliRunner().invoke(lab_app, ["build", "--out", str(tmp_path), "--only", "Q8"])
    assert isinstance(result.exception, InputError)
    assert "did you mean Q8_0" in str(result.exception)
