"""Reading a downloaded prompt file: hostile bytes give one clear line."""

import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.errors import InputError, LimitExceeded, MalformedFile
from qaudit.suites import tables
from qaudit.suites.tables import read_table


def saved(folder: Path, data: bytes, name: str = "set.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_columns_and_quoted_fields(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbf Goal ,TARGET\r\n"one, ""two""\nthree",x\r\n\r\ncaf\xc3\xa9,y\r\n'
    table = read_table(saved(tmp_path, data))
    assert table.columns == ("goal", "target")
    assert [row.fields["goal"] for row in table.rows] == ['one, "two"\nthree', "café"]
    assert [row.line for row in table.rows] == [3, 5]
    assert len(table.sha256) == 64


def test_a_list_of_lines(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path, b"first, with a comma\n\n  second \r\n", "list.TXT"))
    assert table.columns == ()
    assert [(row.line, row.fields["line"]) for row in table.rows] == [
        (1, "first, with a comma"),
        (3, "second"),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no prompts"),
        (b"goal,target\n", "holds no prompts"),
        (b"goal,target\nx,\xff\n", "byte 14 is not UTF-8"),
        ("goal,target\nx,y\n".encode("utf-16"), "byte 0 is not UTF-8"),
        (b"goal,target\nx,a\x00b\n", "line 2: a NUL"),
        (b"goal,goal \nx,y\n", "line 1: two columns have the same name"),
        (b"goal,target\nx\n", "line 2: 1 fields under 2 columns"),
        (b"goal,target\nx,y,z\n", "line 2: 3 fields under 2 columns"),
        (b'goal,target\n"x"y,z\n', "line 2: not CSV"),
        (b'goal,target\n"x,y\n', "not CSV (unexpected end of data)"),
    ],
)
def test_a_bad_file_names_the_place(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(MalformedFile) as caught:
        read_table(saved(tmp_path, data))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_caps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = csv.field_size_limit()
    # between our cap and the csv module's
    with pytest.raises(LimitExceeded, match="line 2: a field of 120000 characters"):
        read_table(saved(tmp_path, b"goal,target\nx," + b"y" * 120_000 + b"\n"))
    with pytest.raises(MalformedFile, match="line 2: not CSV"):
        read_table(saved(tmp_path, b"goal,target\nx," + b"y" * 200_000 + b"\n"))
    with pytest.raises(LimitExceeded, match="a field of 120000"):
        read_table(saved(tmp_path, b"y" * 120_000, "list.txt"))
    with pytest.raises(LimitExceeded, match="201 columns"):
        read_table(saved(tmp_path, b",".join(b"c%d" % n for n in range(201)) + b"\n"))
    monkeypatch.setattr(tables, "MAX_ROWS", 2)
    with pytest.raises(LimitExceeded, match="line 4: more than 2 rows"):
        read_table(saved(tmp_path, b"goal\na\nb\nc\n"))
    monkeypatch.setattr(tables, "FILE_BYTES", 10)
    with pytest.raises(LimitExceeded, match="longer than 10 bytes"):
        read_table(saved(tmp_path, b"goal\na\nb\nc\n"))
    assert csv.field_size_limit() == before


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(InputError, match="missing or not a plain file"):
            read_table(path)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="missing or not a plain file"):
        read_table(tmp_path / "pipe.csv")


@given(data=st.binary(max_size=400), name=st.sampled_from(["a.csv", "a.txt"]))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    path = saved(tmp_path_factory.getbasetemp(), data, name)
    try:
        table = read_table(path)
    except MalformedFile:
        return
    assert table.rows
    assert all(set(row.fields) == set(table.columns or ("line",)) for row in table.rows)


_field = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)


@given(rows=st.lists(st.tuples(_field, _field), min_size=1, max_size=5))
def test_fields_arrive_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("goal", "target"), *rows])
    table = read_table(saved(tmp_path_factory.getbasetemp(), stream.getvalue().encode(), "b.csv"))
    assert [(row.fields["goal"], row.fields["target"]) for row in table.rows] == rows
