"""A downloaded prompt file, trusted in nothing -> its rows as text, or one clear `MalformedFile`."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qaudit.errors import InputError, LimitExceeded, MalformedFile
from qaudit.files import read_bounded, sha256_bytes

FILE_BYTES = 64 * 1024 * 1024
MAX_ROWS = 50_000
MAX_COLUMNS = 200
# below csv's own cap of 131,072, which is shared by the whole process and left alone
MAX_FIELD = 100_000


@dataclass(frozen=True, slots=True)
class Row:
    """One record: the line on which it ends, and its fields by lower-case column name."""

    line: int
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A prompt file: column names in lower case (none for a plain list of lines) and its rows."""

    path: Path
    sha256: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(path: Path) -> Table:
    """Read a CSV file with a header, or, when it is called *.txt, a list of one prompt a line.

    A list has no columns; its rows have the single field `line`.

    Raises:
        InputError: the file cannot be read or is not a plain file.
        MalformedFile: not UTF-8, NUL characters, broken quoting, ragged rows, no rows.
        LimitExceeded: the file, a field or the number of rows or columns is over its cap.
    """
    if not path.is_file():
        raise InputError(f"{path}: missing or not a plain file; give the CSV or TXT file of a prompt set")
    data = read_bounded(path, FILE_BYTES)
    text = _decode(path, data)
    if path.suffix.lower() == ".txt":
        columns: tuple[str, ...] = ()
        rows = tuple(_list_rows(path, text))
    else:
        columns, rows = _csv_rows(path, text)
    if not rows:
        raise MalformedFile(path, "holds no prompts")
    return Table(path, sha256_bytes(data), columns, rows)


def _decode(path: Path, data: bytes) -> str:
    try:
        # spreadsheets put a byte order mark in front
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedFile(path, f"byte {error.start} is not UTF-8", "save it as UTF-8") from error
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise MalformedFile(path, f"line {line}: a NUL character; this is no text file")
    return text


def _list_rows(path: Path, text: str) -> Iterator[Row]:
    kept = 0
    for number, line in enumerate(text.split("\n"), start=1):
        prompt = line.strip()
        if not prompt:
            continue
        kept += 1
        _check_row(path, number, kept, [prompt])
        yield Row(number, {"line": prompt})


def _csv_rows(path: Path, text: str) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    columns: tuple[str, ...] = ()
    try:
        for record in reader:
            if not record:
                continue
            if not columns:
                columns = _header(path, record)
                continue
            _check_row(path, reader.line_num, len(rows) + 1, record)
            if len(record) != len(columns):
                raise MalformedFile(
                    path, f"line {reader.line_num}: {len(record)} fields under {len(columns)} columns"
                )
            rows.append(Row(reader.line_num, dict(zip(columns, record, strict=True))))
    except csv.Error as error:
        raise MalformedFile(path, f"line {reader.line_num}: not CSV ({error})") from error
    return columns, tuple(rows)


def _header(path: Path, record: list[str]) -> tuple[str, ...]:
    if len(record) > MAX_COLUMNS:
        raise LimitExceeded(path, f"{len(record)} columns, more than {MAX_COLUMNS}", "is it the right file?")
    columns = tuple(name.strip().casefold() for name in record)
    if len(set(columns)) != len(columns):
        raise MalformedFile(path, "line 1: two columns have the same name", "rename one")
    return columns


def _check_row(path: Path, line: int, count: int, record: list[str]) -> None:
    if count > MAX_ROWS:
        raise LimitExceeded(path, f"line {line}: more than {MAX_ROWS} rows", "split the file")
    longest = max(map(len, record))
    if longest > MAX_FIELD:
        raise LimitExceeded(
            path,
            f"line {line}: a field of {longest} characters, more than {MAX_FIELD}",
            "is it the right file?",
        )
