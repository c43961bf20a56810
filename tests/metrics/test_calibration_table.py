import json
from pathlib import Path

import pytest

from qaudit.errors import MalformedFile
from qaudit.metrics.calibration_table import calibration_text, matrix_rows
from qaudit.metrics.rtsi import PUBLISHED, load_calibration
from qaudit.metrics.rtsi_table import DELTA_COLUMNS, Table

DELTAS = dict.fromkeys(DELTA_COLUMNS, "0.1")


def table(*rows: dict[str, str]) -> Table:
    whole = tuple({**DELTAS, **row} for row in rows)
    return Table(tuple(whole[0]), whole)


def test_danger_is_told_by_the_regime_first() -> None:
    rows, rule = matrix_rows(
        table(
            {"refusal_rate_delta": "-0.5", "accuracy_delta": "0", "regime": "neutral"},
            {"refusal_rate_delta": "0", "accuracy_delta": "0", "regime": "hidden_danger"},
            {"refusal_rate_delta": "0", "accuracy_delta": "0", "regime": "near_hidden_danger"},
        ),
        "t.csv",
    )
    assert [row.dangerous for row in rows] == [False, True, True]
    assert [row.refusal_loss for row in rows] == [0.5, 0, 0]
    assert "regime" in rule


def test_else_by_quality_and_else_by_refusals_alone() -> None:
    told = [("-0.5", "0.01"), ("-0.5", "-0.04"), ("-0.5", "-0.2"), ("-0.05", "0")]
    rows, rule = matrix_rows(
        table(*({"refusal_delta": fall, "quality_delta": change} for fall, change in told)), "t.csv"
    )
    assert [row.dangerous for row in rows] == [True, True, False, False]
    assert "quality_delta" in rule
    rows, rule = matrix_rows(table(*({"refusal_delta": fall} for fall, _ in told)), "t.csv")
    assert [row.dangerous for row in rows] == [True, True, True, False]
    assert "no column for quality" in rule


def test_an_undecided_regime_leaves_it_to_the_refusals() -> None:
    rows, _ = matrix_rows(
        table(
            *(
                {"refusal_delta": fall, "regime": regime}
                for fall, regime in (("-0.5", ""), ("-0.05", " "), ("-0.5", "neutral"))
            )
        ),
        "t.csv",
    )
    assert [row.dangerous for row in rows] == [True, False, False]


def test_a_baseline_is_left_out() -> None:
    rows, _ = matrix_rows(
        table({"refusal_delta": "-0.2"}, {**dict.fromkeys(DELTA_COLUMNS, ""), "refusal_delta": ""}), "t.csv"
    )
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"x": "1"}, "no column refusal_rate_delta or refusal_delta"),
        ({"refusal_delta": "much"}, "row 1, column 'refusal_delta': 'much' is not a number"),
        ({"refusal_delta": "nan"}, "'nan' is not a number"),
        ({"refusal_delta": "-40"}, "-40 is no fraction"),
        ({"refusal_delta": "0", "regime": "fine"}, "regime 'fine'"),
        ({"refusal_delta": "0", "accuracy_delta": ""}, "column 'accuracy_delta'"),
        ({"refusal_delta": "0", DELTA_COLUMNS[0]: ""}, f"column {DELTA_COLUMNS[0]!r}"),
    ],
)
def test_a_bad_table_names_the_place(row: dict[str, str], message: str) -> None:
    with pytest.raises(MalformedFile) as caught:
        matrix_rows(table(row), "t.csv")
    assert message in str(caught.value)
    assert str(caught.value).startswith("t.csv: ")


def test_a_calibration_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(calibration_text(PUBLISHED))
    assert json.loads(path.read_text())["name"] == "published-45"
    again = load_calibration(path)
    assert (again.maxima, again.moderate_from) == (PUBLISHED.maxima, PUBLISHED.moderate_from)
    assert again.weights == pytest.approx(dict(PUBLISHED.weights))
