import json
from pathlib import Path

import pytest

from qaudit.attest.predicate import predicate_schema
from qaudit.attest.publish_schema import FILE_NAME, main, publish
from qaudit.errors import OutputProblem


def test_the_schema_is_written_where_asked(tmp_path: Path) -> None:
    path = publish(tmp_path / "schema")
    assert json.loads(path.read_text()) == predicate_schema()
    assert [p.name for p in path.parent.iterdir()] == [FILE_NAME]


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
    assert capsys.readouterr().out.strip() == str(tmp_path / FILE_NAME)
