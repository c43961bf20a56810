"""Writing a suite: what is written loads as the same value, nothing is half-written or replaced."""

from pathlib import Path

import pytest

from qaudit.errors import InputError, OutputProblem, SuiteError
from qaudit.suites.loading import load_suite
from qaudit.suites.writing import SuiteHeader, suite_files, write_suite
from qaudit.values import Expectation, Item


def header(expectation: Expectation = "refuse") -> SuiteHeader:
    return SuiteHeader(
        "mine", "1.0", "MIT", expectation, "Für Tests: yes.\nTwo lines.", {"a": "On: A", "b": "no"}
    )


@pytest.mark.parametrize(
    ("expectation", "item"),
    [
        ("refuse", Item("m-1", "a", ("Wie geht das? 🙂 line\u2028two",), tags=("t:1",))),
        ("answer", Item("m-1", "b", ("One.", "Two.\n\nThree."))),
        ("choose", Item("m-1", "a", ("Which?",), ("x", "y"), 0)),
        ("read", Item("m-1", "a", ("A text.",))),
    ],
)
def test_what_is_written_loads_as_the_same_value(
    tmp_path: Path, expectation: Expectation, item: Item
) -> None:
    written = write_suite(tmp_path / "new" / "mine", header(expectation), [item])
    assert load_suite(tmp_path / "new" / "mine") == written
    assert written.items == (item,)
    assert written.categories == {"a": "On: A", "b": "no"}
    assert written.description == header().description
    assert suite_files(header(expectation), [item]) == suite_files(header(expectation), [item])


def test_a_bad_item_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="line 1: category c is not in"):
        write_suite(tmp_path / "mine", header(), [Item("m-1", "c", ("x",))])
    with pytest.raises(SuiteError, match="empty suite"):
        write_suite(tmp_path / "mine", header(), [])
    assert list(tmp_path.iterdir()) == []


def test_a_suite_is_replaced_only_on_purpose(tmp_path: Path) -> None:
    first, second = Item("m-1", "a", ("one",)), Item("m-2", "a", ("two",))
    write_suite(tmp_path, header(), [first])
    with pytest.raises(InputError, match="there is a suite in it already"):
        write_suite(tmp_path, header(), [second])
    assert load_suite(tmp_path).items == (first,)
    write_suite(tmp_path, header(), [second], replace=True)
    assert load_suite(tmp_path).items == (second,)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prompts.jsonl", "suite.yaml"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputProblem, match="cannot make the folder"):
        write_suite(tmp_path / "file" / "mine", header(), [Item("m-1", "a", ("one",))])
