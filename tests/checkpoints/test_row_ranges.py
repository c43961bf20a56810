from pathlib import Path

import pytest

from qaudit.checkpoints.row_ranges import MAX_ROWS_BYTES, checked_range
from qaudit.errors import InputError

PATH = Path("model.safetensors")


def test_an_open_end_is_filled_in() -> None:
    assert checked_range(PATH, "w", (10, 4), 0, None) == (0, 10)
    assert checked_range(PATH, "w", (10, 4), 3, None) == (3, 10)
    assert checked_range(PATH, "w", (10, 4), 3, 7) == (3, 7)
    assert checked_range(PATH, "w", (10, 4), 10, 10) == (10, 10)
    assert checked_range(PATH, "w", (0, 4), 0, None) == (0, 0)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 11), (5, 4), (11, 11), (11, None), (0, -1)])
def test_outside(start: int, stop: int | None) -> None:
    with pytest.raises(InputError, match=r"^model\.safetensors: w has 10 rows, not "):
        checked_range(PATH, "w", (10, 4), start, stop)


def test_two_gibibytes_and_no_more() -> None:
    columns = MAX_ROWS_BYTES // 4 // 8
    assert checked_range(PATH, "w", (100, columns), 90, 98) == (90, 98)
    with pytest.raises(InputError, match="w: more than 2 GiB of rows at once; ask for fewer"):
        checked_range(PATH, "w", (100, columns), 90, 99)
    with pytest.raises(InputError, match="more than 2 GiB"):
        checked_range(PATH, "w", (1 << 62, 1 << 62), 0, None)
