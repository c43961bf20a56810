import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qaudit.errors import MalformedFile
from qaudit.metrics.rtsi_table import DELTA_COLUMNS, Table, read_table, score_table, to_csv, to_records

HEADER = "model," + ",".join(DELTA_COLUMNS)
# the second, phi-2 GPTQ, is published as 0.6199, HIGH
ROWS = (
    "calm,0.0,0.0,0.0,0.5\n"
    "phi-2,0.05494505494505497,0.9340659340659341,-0.1681344914728643,170.6153846153846\n"
)


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_scores_and_keeps_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}\n{ROWS}")
    scored = score_table(read_table(path), path)
    assert scored.columns == ("model", *DELTA_COLUMNS, "rtsi_score", "rtsi_risk")
    assert [row["model"] for row in scored.rows] == ["calm", "phi-2"]
    assert float(scored.rows[1]["rtsi_score"]) == pytest.approx(0.619938801669691, abs=1e-4)
    assert [row["rtsi_risk"] for row in scored.rows] == ["LOW", "HIGH"]


def test_replaces_scores_that_stood_there(tmp_path: Path) -> None:
    path = write(tmp_path, f"rtsi_risk,{HEADER},rtsi_score\nHIGH,calm,0,0,0,0,9\n")
    scored = score_table(read_table(path), path)
    assert scored.columns[0] == "rtsi_risk"
    assert scored.rows[0]["rtsi_risk"] == "LOW"
    assert float(scored.rows[0]["rtsi_score"]) == 0.0


def test_blank_lines_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}\r\n\r\ncalm,0,0,0,0\r\n")
    assert len(read_table(path).rows) == 1


def test_a_baseline_row_is_not_measured(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}\nFP16,,,,\n{ROWS}")
    records = to_records(score_table(read_table(path), path))
    assert records[0]["rtsi_score"] is None
    assert records[0]["rtsi_risk"] is None
    assert records[2]["rtsi_risk"] == "HIGH"
    assert records[2]["model"] == "phi-2"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "0 columns"),
        ("a,b\n1,2\n", "'dominant_prefix_share_delta'"),
        (f"{HEADER}\n", "no rows"),
        (f"{HEADER},model\nx,0,0,0,0,y\n", "twice"),
        (f"{HEADER},{DELTA_COLUMNS[0]}\nx,0,0,0,0,0\n", "2 columns"),
        (f"{HEADER}\nx,0,0,0\n", "line 2 has 4 cells"),
        (f"{HEADER}\nx,0,nan,0,0\n", "row 1, column 'unique_prefix_rate_delta'"),
        (f"{HEADER}\nx,0,inf,0,0\n", "not a number"),
        (f"{HEADER}\nx,0,,0,0\n", "not a number"),
        (f"{HEADER}\nx,0,much,0,0\n", "'much'"),
        (f'{HEADER}\n"x,0,0,0,0\n', "not CSV"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str | bytes, problem: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(MalformedFile, match=problem) as caught:
        score_table(read_table(path), path)
    assert str(path) in str(caught.value)


@example([("lone\rreturn", 0.0, 0.0, 0.0, 0.0)])
@given(st.lists(st.tuples(st.text(), *[st.floats(-1e6, 1e6)] * 4), min_size=1, max_size=5))
def test_what_is_printed_reads_back(rows: list[tuple[str, float, float, float, float]]) -> None:
    columns = ("name", *DELTA_COLUMNS)
    table = Table(columns, tuple({k: str(v) for k, v in zip(columns, row, strict=True)} for row in rows))
    scored = score_table(table, "table")
    again = list(csv.DictReader(io.StringIO(to_csv(scored), newline="")))
    assert [row["name"] for row in again] == [row["name"] for row in scored.rows]
    assert [row["rtsi_score"] for row in again] == [row["rtsi_score"] for row in scored.rows]
    assert all(float(row["rtsi_score"]) >= 0 for row in again)
