import json
from pathlib import Path

import pytest

from qaudit.errors import OutputProblem
from qaudit.report import inspection_schema, report_schema, weights_schema
from qaudit.report.publish_schema import main, publish


def test_the_schemas_are_written_where_asked(tmp_path: Path) -> None:
    paths = publish(tmp_path / "schema")
    assert [json.loads(path.read_text())["$id"] for path in paths] == [
        report_schema.SCHEMA_URL,
        inspection_schema.SCHEMA_URL,
        weights_schema.SCHEMA_URL,
    ]
    names = sorted(path.name for path in (tmp_path / "schema").iterdir())
    assert names == ["inspection.v1.json", "report.v1.json", "weights.v1.json"]


def test_a_file_in_the_way_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "schema").write_text("not a folder")
    with pytest.raises(OutputProblem):
        publish(tmp_path / "schema")
    assert main([str(tmp_path / "schema")]) == 2
    assert capsys.readouterr().err.startswith("qaudit: ")


def test_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / schema.FILE_NAME) for schema in (report_schema, inspection_schema, weights_schema)
    ]
