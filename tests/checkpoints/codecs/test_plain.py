from pathlib import Path

import numpy as np
import pytest
from checkpoints.by_hand import Stored, module_of, stored

from qaudit.checkpoints.codecs.plain import Plain
from qaudit.errors import InputError

VALUES = np.arange(24, dtype=np.float32) - 7.5


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [
        ((24,), 1, 24),
        ((4, 6), 4, 6),
        ((2, 3, 4), 6, 4),
        ((2, 1, 3, 4), 6, 4),
        ((24, 1), 24, 1),
        ((1, 24), 1, 24),
    ],
)
def test_leading_dimensions_are_rows(tmp_path: Path, shape: tuple[int, ...], rows: int, columns: int) -> None:
    parts = module_of(tmp_path / "x", {"weight": stored(VALUES.reshape(shape))})
    assert Plain().shape(parts) == (rows, columns)
    whole = VALUES.reshape(rows, columns)
    for start in range(rows):
        for stop in (start + 1, rows):
            decoded = Plain().rows(parts, start, stop)
            assert decoded.dtype == np.float32
            np.testing.assert_array_equal(decoded, whole[start:stop])


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"])
def test_every_kind_of_float(tmp_path: Path, dtype: str) -> None:
    entries: dict[str, Stored] = {
        "F64": stored(np.array([[1.5, -2]], np.float64)),
        "F32": stored(np.array([[1.5, -2]], np.float32)),
        "F16": stored(np.array([[1.5, -2]], np.float16)),
        "BF16": ("BF16", (1, 2), b"\xc0\x3f\x00\xc0"),
        "F8_E4M3": ("F8_E4M3", (1, 2), b"\x3c\xc0"),
        "F8_E5M2": ("F8_E5M2", (1, 2), b"\x3e\xc0"),
    }
    parts = module_of(tmp_path / "x", {"weight": entries[dtype]})
    assert Plain().rows(parts, 0, 1).tolist() == [[1.5, -2.0]]


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_a_scalar_is_one_weight(tmp_path: Path, dtype: str) -> None:
    raw = np.float32(2).tobytes()
    parts = module_of(tmp_path / "x", {"weight": (dtype, (), raw if dtype == "F32" else raw[2:])})
    assert Plain().shape(parts) == (1, 1)
    assert Plain().rows(parts, 0, 1).tolist() == [[2.0]]


def test_nothing(tmp_path: Path) -> None:
    parts = module_of(tmp_path / "x", {"weight": stored(np.zeros((0, 5), np.float32))})
    assert Plain().shape(parts) == (0, 5)


def test_whole_numbers_are_refused(tmp_path: Path) -> None:
    parts = module_of(tmp_path / "x", {"weight": stored(np.ones((2, 2), np.int8))})
    with pytest.raises(InputError, match="I8 stands where floats should"):
        Plain().rows(parts, 0, 2)
