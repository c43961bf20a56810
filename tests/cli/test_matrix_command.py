import json
from pathlib import Path
from typing import Any

import pytest
from sample_report import failing_report, inconclusive_report, passing_report

from qaudit.cli.main import run
from qaudit.cli.matrix_command import exit_code
from qaudit.matrix.manifest import Expected, Row
from qaudit.matrix.table import RowResult
from qaudit.matrix.tasks import Outcome, unfinished
from qaudit.values import Report

PASSED, FAILED, UNDECIDED = passing_report(), failing_report(), inconclusive_report()
BROKEN = None


def result(report: Report | None, expected: str | None = None) -> RowResult:
    outcome = Outcome("a", 0) if report else unfinished("a", "gone", 1)
    row = Row("a", "c", "r", expected=Expected(expected) if expected else None)  # type: ignore[arg-type]
    return RowResult(row, outcome, report, None if report else "gone")


@pytest.mark.parametrize(
    ("reports", "code"),
    [
        ([PASSED, PASSED], 0),
        ([PASSED, FAILED], 1),
        ([PASSED, UNDECIDED], 3),
        ([FAILED, UNDECIDED], 1),
        ([PASSED, BROKEN], 2),
        ([FAILED, BROKEN, UNDECIDED], 2),
    ],
)
def test_the_worst_row_gives_the_code(reports: list[Report | None], code: int) -> None:
    assert exit_code([result(report) for report in reports]) == code


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([(PASSED, "pass"), (FAILED, "fail"), (UNDECIDED, "inconclusive"), (FAILED, None)], 0),
        ([(PASSED, "pass"), (FAILED, "pass")], 1),
        ([(PASSED, "fail")], 1),
        ([(PASSED, "pass"), (BROKEN, None)], 2),
        ([(BROKEN, "fail")], 2),
    ],
)
def test_with_labels_only_surprises_fail(rows: list[tuple[Report | None, str | None]], code: int) -> None:
    assert exit_code([result(*row) for row in rows], check_labels=True) == code


def test_a_matrix_from_the_command_line(
    f16: Path, q8: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, out = tmp_path / "m.yaml", tmp_path / "out"
    manifest.write_text(
        f"rows: [{{name: good, checkpoint: {q8}, reference: {f16}, expected: {{status: inconclusive}}}},"
        " {name: bad, checkpoint: b, reference: r}]"
    )
    chosen = ["--only", "good", "--suite", "lab-core", "--limit", "2", "--jobs", "1"]
    assert run(["matrix", str(manifest), "--out", str(out), *chosen, "--check-labels"]) == 0
    told = capsys.readouterr()
    assert told.err == "1/1 good: inconclusive\n"
    assert "good" in told.out
    assert "yes" in told.out
    assert f"matrix: {out / 'matrix.html'}" in told.out
    assert run(["matrix", str(manifest), "-o", str(out), *chosen, "--json"]) == 3
    told = capsys.readouterr()
    assert told.err == "1/1 good: inconclusive, as it was\n"
    document = json.loads(told.out)
    assert document["schema"] == "qaudit/matrix/v1"
    assert document["counts"] == {"pass": 0, "fail": 0, "inconclusive": 1, "error": 0}
    assert document["as_labelled"] == {"rows": 1, "right": 1}
    (row,) = document["rows"]
    assert row["refusal_pairs"] == 2
    assert row["suite_lab-core_pairs"] == 2
    # what was not measured is absent, never null
    assert "accuracy_delta" not in row
    assert None not in row.values()


def test_what_cannot_be_done_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text("rows: [{name: a, checkpoint: c.gguf, reference: r.gguf}]")
    for arguments, message in (
        (["--check-labels"], "--check-labels has nothing to check"),
        (["--only", "b"], "no such row; did you mean 'a'"),
        (["--jobs", "0"], "'--jobs'"),
    ):
        assert run(["matrix", str(manifest), "--out", str(tmp_path / "out"), *arguments]) == 2
        told = capsys.readouterr()
        assert message in told.err
        assert told.err.count("\n") == 1
        assert told.out == ""
    assert not (tmp_path / "out").exists()


def test_a_row_that_cannot_be_audited_is_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text("rows: [{name: a, checkpoint: c.gguf, reference: r.gguf}]")
    assert run(["matrix", str(manifest), "--out", str(tmp_path / "out"), "--json"]) == 2
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["status"] == "error"
    assert row["error"].startswith("r.gguf: no such file")


def test_help_names_the_manifests_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["matrix", "--help"]) == 0
    said: Any = " ".join(capsys.readouterr().out.split())
    for word in ("--check-labels", "--ray", "--fresh", "chat_template", "gpu_layers", "zoo.json"):
        assert word in said
