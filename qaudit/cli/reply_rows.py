"""A file of prompts and completions, trusted in nothing -> rows, and rows back to text."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qaudit import csv_text
from qaudit.errors import InputError, LimitExceeded, MalformedFile
from qaudit.files import read_bounded
from qaudit.strict_json import load_strict

FILE_BYTES = 64 * 1024 * 1024
MAX_ROWS = 50_000
MAX_COLUMNS = 200
NEEDED = ("prompt", "completion")
SUFFIXES = (".csv", ".jsonl")
MEND = "give a file with the columns prompt and completion"


@dataclass(frozen=True, slots=True)
class Replies:
    """Rows with at least `prompt` and `completion`; `columns` is empty for JSON lines."""

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]


def read_replies(path: Path) -> Replies:
    """Read a CSV file with a header, or JSON lines.

    Raises:
        InputError: neither .csv nor .jsonl, or unreadable.
        MalformedFile: not UTF-8, broken CSV or JSON, a column or value missing, no rows.
        LimitExceeded: the file, a field, the rows or the columns are over their cap.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: neither .csv nor .jsonl; rename or convert it")
    data = read_bounded(path, FILE_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedFile(path, f"byte {error.start} is not UTF-8", "save it as UTF-8") from error
    replies = _from_csv(path, text) if suffix == ".csv" else _from_jsonl(path, text)
    if not replies.rows:
        raise MalformedFile(path, "holds no rows", MEND)
    return replies


def to_csv(replies: Replies) -> str:
    """Return the rows as CSV in their own column order, `label` last if it is new."""
    return csv_text.to_csv(list(dict.fromkeys([*replies.columns, "label"])), replies.rows)


def to_jsonl(replies: Replies) -> str:
    """Return the rows as JSON lines, in ASCII: half a surrogate pair goes out as it came in."""
    return "".join(f"{json.dumps(row, allow_nan=False)}\n" for row in replies.rows)


def _from_csv(path: Path, text: str) -> Replies:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[dict[str, Any]] = []
    columns: tuple[str, ...] = ()
    try:
        for record in reader:
            if not record:
                continue
            if not columns:
                columns = _header(path, record)
                continue
            if len(rows) >= MAX_ROWS:
                raise LimitExceeded(
                    path, f"line {reader.line_num}: more than {MAX_ROWS} rows", "split the file"
                )
            if len(record) != len(columns):
                raise MalformedFile(
                    path, f"line {reader.line_num}: {len(record)} fields under {len(columns)} columns", MEND
                )
            rows.append(dict(zip(columns, record, strict=True)))
    except csv.Error as error:
        raise MalformedFile(path, f"line {reader.line_num}: not CSV ({error})", MEND) from error
    return Replies(columns, rows)


def _header(path: Path, record: list[str]) -> tuple[str, ...]:
    if len(record) > MAX_COLUMNS:
        raise LimitExceeded(path, f"{len(record)} columns, more than {MAX_COLUMNS}", "is it the right file?")
    columns = tuple(name.strip() for name in record)
    if len(set(columns)) != len(columns):
        raise MalformedFile(path, "line 1: two columns have the same name", "rename one")
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise MalformedFile(path, f"line 1: no column {' or '.join(missing)}", MEND)
    return columns


def _from_jsonl(path: Path, text: str) -> Replies:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if len(rows) >= MAX_ROWS:
            raise LimitExceeded(path, f"line {number}: more than {MAX_ROWS} rows", "split the file")
        rows.append(_record(path, number, line))
    return Replies((), rows)


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = load_strict(line.encode())
    except ValueError as error:
        raise MalformedFile(path, f"line {number}: {error}", MEND) from error
    if not isinstance(row, dict):
        raise MalformedFile(path, f"line {number}: not a JSON object", MEND)
    for name in NEEDED:
        if not isinstance(row.get(name), str):
            raise MalformedFile(path, f"line {number}: {name} is missing or not text", MEND)
    return row
