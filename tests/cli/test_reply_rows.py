from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.cli import reply_rows
from qaudit.cli.reply_rows import Replies, read_replies, to_csv, to_jsonl
from qaudit.errors import InputError, LimitExceeded, MalformedFile


def write(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.csv", b"", "no rows"),
        ("a.csv", b"prompt,completion\n", "no rows"),
        ("a.csv", b"prompt,reply\na,b\n", "no column completion"),
        ("a.csv", b"prompt,prompt,completion\n", "same name"),
        ("a.csv", b"prompt,completion\na\n", "line 2: 1 fields under 2 columns"),
        ("a.csv", b'prompt,completion\n"a,b\n', "not CSV"),
        ("a.csv", b"prompt,completion\n\xff,b\n", "not UTF-8"),
        ("a.jsonl", b'{"prompt": "a"}\n', "line 1: completion is missing"),
        ("a.jsonl", b'{"prompt": "a", "completion": 3}\n', "line 1: completion is missing or not text"),
        ("a.jsonl", b'\n{"prompt": \n', "line 2: not JSON"),
        ("a.jsonl", b'{"prompt": "a", "completion": "b", "x": NaN}', "line 1: NaN is not a JSON number"),
        ("a.jsonl", b"[1]\n", "not a JSON object"),
        ("a.jsonl", b"[" * 200_000, "line 1: nested too deeply"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    with pytest.raises(MalformedFile, match=problem):
        read_replies(write(tmp_path, name, data))


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither \.csv nor \.jsonl"):
        read_replies(write(tmp_path, "a.xlsx", b"x"))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(reply_rows, "MAX_ROWS", 1)
    rows = [{"prompt": "a", "completion": "b", "label": "empty"}] * 2
    text = to_csv(Replies(tuple(rows[0]), rows)) if name == "a.csv" else to_jsonl(Replies((), rows))
    with pytest.raises(LimitExceeded, match="more than 1 rows"):
        read_replies(write(tmp_path, name, text.encode()))


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))


@given(st.lists(st.fixed_dictionaries({"prompt": texts, "completion": texts}), min_size=1, max_size=5))
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    labelled = [{**row, "label": "empty"} for row in rows]
    columns = ("prompt", "completion", "label")
    as_csv = write(folder, "a.csv", to_csv(Replies(columns, labelled)).encode())
    assert read_replies(as_csv) == Replies(columns, labelled)
    as_lines = write(folder, "a.jsonl", to_jsonl(Replies((), labelled)).encode())
    assert read_replies(as_lines) == Replies((), labelled)


def test_what_is_printed_is_read_back(tmp_path: Path) -> None:
    odd = tmp_path / "odd.csv"
    odd.write_bytes(b'prompt,completion\n"a","b\rc"\n')
    again = tmp_path / "again.csv"
    again.write_bytes(to_csv(read_replies(odd)).encode())
    assert [row["completion"] for row in read_replies(again).rows] == ["b\rc"]


def test_half_a_surrogate_pair_goes_out_as_it_came_in(tmp_path: Path) -> None:
    odd = tmp_path / "odd.jsonl"
    odd.write_bytes(b'{"prompt": "a", "completion": "\\ud800"}\n')
    assert to_jsonl(read_replies(odd)).encode() == odd.read_bytes()
