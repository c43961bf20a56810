from pathlib import Path

import pytest

from qaudit.errors import InputError
from qaudit.static.byte_source import LocalBytes
from qaudit.static.case import Case, opened
from qaudit.static.folder_view import Entry


def test_by_default_nothing_is_deep_and_a_file_stands_alone() -> None:
    assert Case() == Case(deep=False, folder=None)


def test_an_entry_is_let_go_of_however_the_block_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    made: list[LocalBytes] = []

    def opener() -> LocalBytes:
        made.append(LocalBytes(tmp_path / "a"))
        return made[-1]

    entry = Entry("a", 3, "other", opener)
    with opened(entry) as source:
        assert source.read_at(1, 2) == b"bc"
    with pytest.raises(RuntimeError, match="ours"), opened(entry):
        raise RuntimeError("ours")
    for one in made:
        with pytest.raises(ValueError, match="closed"):
            one.read_at(0, 1)


def test_what_must_not_be_opened_is_an_error_that_names_it() -> None:
    with (
        pytest.raises(InputError, match="cannot be opened"),
        opened(Entry("out.bin", 0, "other", None)),
    ):
        pass
