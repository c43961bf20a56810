"""Which rows of a module may be decoded at once."""

from pathlib import Path

from qaudit.errors import InputError

MAX_ROWS_BYTES = 2 << 30


def checked_range(
    path: Path, name: str, shape: tuple[int, int], start: int, stop: int | None
) -> tuple[int, int]:
    """Return [start, stop) with its end filled in.

    Raises:
        InputError: the range is outside the module, or more than 2 GiB decoded.
    """
    rows, columns = shape
    stop = rows if stop is None else stop
    if not 0 <= start <= stop <= rows:
        raise InputError(f"{path}: {name} has {rows} rows, not {start} to {stop}")
    if (stop - start) * columns * 4 > MAX_ROWS_BYTES:
        raise InputError(f"{path}: {name}: more than 2 GiB of rows at once; ask for fewer")
    return start, stop
