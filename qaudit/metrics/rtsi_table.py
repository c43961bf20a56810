"""RTSI over a CSV table that was measured elsewhere: one row a quantization, four delta columns."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from qaudit import csv_text
from qaudit.errors import MalformedFile
from qaudit.files import read_bounded
from qaudit.metrics.rtsi import FEATURES, PUBLISHED, Calibration, score, tier
from qaudit.values import RtsiFeatures

TABLE_LIMIT_BYTES = 16 * 1024 * 1024
DELTA_COLUMNS = tuple(f"{name}_delta" for name in FEATURES)
SCORE_COLUMN, RISK_COLUMN = "rtsi_score", "rtsi_risk"


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV table: its columns in order, its rows as text by column."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


def read_table(path: Path) -> Table:
    """Read a CSV table with a header that names the four `*_delta` columns.

    Raises:
        MalformedFile: not UTF-8 CSV, no such columns, a row of another length, no rows.
        InputError: it cannot be read.
    """
    try:
        text = read_bounded(path, TABLE_LIMIT_BYTES).decode("utf-8-sig")
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = tuple(next(lines, []))
        for name in DELTA_COLUMNS:
            if header.count(name) != 1:
                raise MalformedFile(path, f"{header.count(name)} columns {name!r} in line 1", "give it one")
        if len(set(header)) != len(header):
            raise MalformedFile(path, "a column name occurs twice in line 1", "name each column once")
        rows = []
        for cells in lines:
            if not cells:
                continue
            if len(cells) != len(header):
                raise MalformedFile(
                    path,
                    f"line {lines.line_num} has {len(cells)} cells, the header {len(header)}",
                    "mend it",
                )
            rows.append(dict(zip(header, cells, strict=True)))
    except UnicodeDecodeError as error:
        raise MalformedFile(path, f"not UTF-8 at byte {error.start}", "save it as UTF-8 CSV") from error
    except csv.Error as error:
        raise MalformedFile(path, f"not CSV: {error}", "save it as UTF-8 CSV") from error
    if not rows:
        raise MalformedFile(path, "no rows under the header", "there is nothing to score")
    return Table(header, tuple(rows))


def score_table(table: Table, path: object, calibration: Calibration = PUBLISHED) -> Table:
    """Return the table with `rtsi_score` and `rtsi_risk` set, replacing what stood there.

    A row whose four cells are all empty (a baseline, which is its own reference) was not measured:
    its score and tier are empty too.

    Args:
        table: rows with the four `*_delta` columns.
        path: where the table came from, for messages.
        calibration: what to score with.

    Raises:
        MalformedFile: a cell is not a finite number.
    """
    added = tuple(name for name in (SCORE_COLUMN, RISK_COLUMN) if name not in table.columns)
    rows = []
    for number, row in enumerate(table.rows, 1):
        if not any(row[name].strip() for name in DELTA_COLUMNS):
            rows.append({**row, SCORE_COLUMN: "", RISK_COLUMN: ""})
            continue
        deltas = RtsiFeatures(*(number_in(row[name], name, number, path) for name in DELTA_COLUMNS))
        value = score(deltas, calibration)
        rows.append({**row, SCORE_COLUMN: repr(value), RISK_COLUMN: tier(value, calibration)})
    return Table(table.columns + added, tuple(rows))


def to_csv(table: Table) -> str:
    """Return the table as CSV text with a line feed after each row."""
    return csv_text.to_csv(table.columns, table.rows)


def to_records(table: Table) -> list[dict[str, str | float | None]]:
    """Return the rows for JSON: the figures of RTSI as numbers (None where empty), the rest as text."""
    numeric = {*DELTA_COLUMNS, SCORE_COLUMN}
    return [
        {
            name: (float(cell) if cell.strip() else None)
            if name in numeric
            else (cell or None if name == RISK_COLUMN else cell)
            for name, cell in row.items()
        }
        for row in table.rows
    ]


def number_in(cell: str, column: str, row: int, path: object) -> float:
    """Return a cell as a number.

    Raises:
        MalformedFile: it is not a finite number of a size that a table can hold.
    """
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    # far beyond any real difference, and far from overflowing a score or a sum of squares
    if not abs(value) <= 1e12:
        raise MalformedFile(path, f"row {row}, column {column!r}: {cell[:40]!r} is not a number", "mend it")
    return value
