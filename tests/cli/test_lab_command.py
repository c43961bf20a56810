import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qaudit.cli.lab_command import lab_app
from qaudit.errors import InputError, MissingExtra
from qaudit.lab.build import build
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


@pytest.fixture
def _without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))


@pytest.mark.usefixtures("_without_torch")
def test_without_torch_its_members_are_left_out_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_the_first(out: Path, only: list[str]) -> Iterator[object]:
        # what the whole zoo's build tells first; making it all takes too long for a test
        yield next(build(out, only))
        yield from build(out, ["hf-F16"])

    monkeypatch.setattr("qaudit.lab.build.build", only_the_first)
    result = CliRunner().invoke(lab_app, ["build", "--out", str(tmp_path)])
    assert result.exit_code == 0
    told = [line for line in result.stderr.splitlines() if line.startswith("left out: ")]
    assert len(told) == 1
    assert told[0].endswith("(torch is not installed; run: pip install 'qaudit[hf]')")
    assert {member.name for member in ZOO if member.name in told[0]} == {m.name for m in ZOO if m.needs_torch}


@pytest.mark.usefixtures("_without_torch")
def test_a_member_that_needs_torch_cannot_be_made_without(tmp_path: Path) -> None:
    result = CliRunner().invoke(lab_app, ["build", "--out", str(tmp_path), "--only", "AWQ-g64"])
    assert isinstance(result.exception, MissingExtra)
    assert result.exception.exit_code == 2


def test_unknown_member(tmp_path: Path) -> None:
    result = CliRunner().invoke(lab_app, ["build", "--out", str(tmp_path), "--only", "Q8"])
    assert isinstance(result.exception, InputError)
    assert "did you mean Q8_0" in str(result.exception)
