import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_report import HOSTILE, failing_report, hostile_report, inconclusive_report, passing_report

from qaudit.matrix.manifest import Expected, Row
from qaudit.matrix.table import CALCULATED, FIXED, LABELS, RowResult, cells, columns, record, to_csv
from qaudit.matrix.tasks import Outcome, unfinished
from qaudit.metrics.calibration_fit import fit
from qaudit.metrics.calibration_table import matrix_rows
from qaudit.metrics.rtsi_table import DELTA_COLUMNS, read_table, score_table
from qaudit.values import Report


def result(name: str, report: Report | None, error: str | None = None, **row: object) -> RowResult:
    outcome = unfinished(name, error or "", 1) if error else Outcome(name, 0)
    return RowResult(Row(name, f"{name}.gguf", "F16.gguf", **row), outcome, report, error)  # type: ignore[arg-type]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_figure_has_its_column() -> None:
    report = failing_report()
    (row,) = read(to_csv([result("bad", report)]))
    pair, quality, first, rtsi = (
        report.metrics.refusal, report.metrics.quality, report.metrics.first_token, report.metrics.rtsi,
    )  # fmt: skip
    assert pair is not None
    assert quality is not None
    assert quality.accuracy is not None
    assert first is not None
    assert rtsi is not None
    assert rtsi.features is not None
    assert float(row["refusal_delta"]) == pair.delta
    assert float(row["refusal_delta_low"]) == pair.delta_ci95[0]
    assert int(row["refusal_lost"]) == pair.lost
    assert float(row["accuracy_delta"]) == quality.accuracy.delta
    assert float(row["perplexity_ratio"]) == quality.perplexity_ratio
    assert float(row["first_token_safety_flip_rate"]) == first.safety_flip_rate
    assert float(row["rtsi_score"]) == rtsi.score
    assert float(row["unique_prefix_rate_delta"]) == rtsi.features.unique_prefix_rate_delta
    assert float(row["category_privacy_delta"]) == report.metrics.categories["privacy"].delta
    assert row["status"] == "fail"
    assert row["max_severity"] == "high"
    assert "refusal-drop" in row["failed_rules"].split()
    assert "category-drop[privacy]" in row["failed_rules"].split()
    assert row["checkpoint"] == "bad.gguf"


def test_columns_are_the_same_for_every_matrix_but_for_names_of_its_own() -> None:
    plain = columns([result("a", passing_report())])
    assert tuple(plain[: len(FIXED)]) == FIXED
    assert all(name.startswith(("category_", "suite_")) for name in plain[len(FIXED) :])
    assert not set(plain) & set(LABELS)
    labelled = columns([result("a", None, "gone", label="clean"), result("b", passing_report())])
    assert tuple(labelled[-len(LABELS) :]) == LABELS
    # no figure is left without a column, and none has two
    found = set(cells(result("a", failing_report(), label="x", expected=Expected("pass"))))
    assert found <= set(labelled)
    assert len(set(labelled)) == len(labelled)


def test_what_was_not_measured_is_empty_and_absent() -> None:
    report = passing_report()
    bare = replace(report, metrics=replace(report.metrics, refusal=None, rtsi=None, quality=None))
    (row,) = read(to_csv([result("a", bare)]))
    assert row["refusal_delta"] == row["rtsi_score"] == row["accuracy_delta"] == row["kl_mean"] == ""
    assert "refusal_delta" not in record(result("a", bare))
    (row,) = read(to_csv([result("a", None, "m.gguf: no such file")]))
    assert row["status"] == "error"
    assert row["error"] == "m.gguf: no such file"
    assert row["regime"] == ""


def test_a_row_is_held_against_its_label() -> None:
    rows = [
        result("a", passing_report(), expected=Expected("pass"), label="clean"),
        result("b", failing_report(), expected=Expected("pass"), label="clean"),
        result("c", None, "gone", expected=Expected("pass")),
        result("d", passing_report()),
    ]
    assert [r["as_labelled"] for r in read(to_csv(rows))] == ["yes", "no", "no", ""]
    assert [r["label"] for r in read(to_csv(rows))] == ["clean", "clean", "", ""]


@pytest.mark.parametrize("start", [*CALCULATED, "=cmd|'/c calc'!A1", "@SUM(1)"])
def test_no_text_becomes_a_formula(start: str) -> None:
    report = hostile_report(f"{start}x")
    rows = read(to_csv([result("a", report), result("b", None, f"{start}error")]))
    texts = [cell for row in rows for cell in row.values() if cell]
    for cell in texts:
        if cell.startswith(CALCULATED):
            float(cell)
    assert rows[1]["error"].lstrip("'").lstrip().startswith(start.strip()[:1])


def test_hostile_text_stays_on_its_line() -> None:
    text = to_csv([result("a", hostile_report(HOSTILE)), result("b", passing_report())])
    assert [row["name"] for row in read(text)] == ["a", "b"]
    text.encode()
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_rtsi_and_calibrate_read_it(tmp_path: Path) -> None:
    rows = [
        *(result(f"good{n}", passing_report()) for n in range(5)),
        *(result(f"bad{n}", failing_report()) for n in range(3)),
        result("few", inconclusive_report()),
        result("broken", None, "gone"),
    ]
    path = tmp_path / "matrix.csv"
    path.write_text(to_csv(rows), encoding="utf-8")
    table = read_table(path)
    scored = score_table(table, path)
    for before, after in zip(table.rows, scored.rows, strict=True):
        if before["rtsi_score"]:
            assert float(after["rtsi_score"]) == pytest.approx(float(before["rtsi_score"]), rel=1e-6)
            assert after["rtsi_risk"] == before["rtsi_risk"]
    measured, _ = matrix_rows(table, path)
    assert len(measured) == sum(bool(row[DELTA_COLUMNS[0]]) for row in table.rows) >= 8
    assert fit(measured, "ours").calibration.name == "ours"


def test_a_row_without_a_regime_can_be_calibrated_on(tmp_path: Path) -> None:
    report = failing_report()
    without = replace(report, verdict=replace(report.verdict, regime=None))
    path = tmp_path / "matrix.csv"
    path.write_text(to_csv([result("a", without), result("b", passing_report())]), encoding="utf-8")
    rows, _ = matrix_rows(read_table(path), path)
    assert [row.dangerous for row in rows] == [True, False]


def test_the_real_table_says_nothing_of_time_and_place(small_matrix: Any) -> None:
    text = small_matrix.finished.table.read_text()
    report = small_matrix.finished.results[0].report
    for told in (small_matrix.out, small_matrix.manifest.parent, report.created):
        assert str(told) not in text
    assert "duration" not in text
