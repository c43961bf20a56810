import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from qaudit.csv_text import to_csv

cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


@given(st.lists(st.tuples(cells, cells), max_size=4))
def test_what_is_written_is_read_back(rows: list[tuple[str, str]]) -> None:
    table = [{"prompt": a, "completion": b} for a, b in rows]
    text = to_csv(("prompt", "completion"), table)
    assert list(csv.DictReader(io.StringIO(text, newline=""), strict=True)) == table


def test_a_lone_carriage_return_is_quoted() -> None:
    assert to_csv(["a"], [{"a": "x\ry"}]) == '"a"\n"x\ry"\n'
    assert to_csv(["a"], [{"a": "x"}]) == "a\nx\n"
