from pathlib import Path

import numpy as np
import pytest
from checkpoints.by_hand import module_of, stored

from qaudit.checkpoints.codecs.module_parts import FLOATS, ModuleParts
from qaudit.errors import MalformedFile

CODES = np.arange(12, dtype=np.int32).reshape(4, 3)


@pytest.fixture
def parts(tmp_path: Path) -> ModuleParts:
    return module_of(
        tmp_path / "x.safetensors", {"qweight": stored(CODES), "scales": stored(np.ones((2, 3), np.float16))}
    )


def test_what_it_holds(parts: ModuleParts) -> None:
    assert "qweight" in parts
    assert "qzeros" not in parts
    assert parts.dtype("qweight") == "I32"
    assert parts.shape("scales") == (2, 3)
    np.testing.assert_array_equal(parts.read("qweight").array(), CODES)
    np.testing.assert_array_equal(parts.read("qweight", 1, 3).array(), CODES[1:3])


def test_requirements_that_are_met(parts: ModuleParts) -> None:
    parts.require("qweight", {"I32"}, (4, 3))
    parts.require("qweight", {"I32", "I64"}, (None, 3))
    parts.require("scales", FLOATS, (None, None))


@pytest.mark.parametrize(
    ("part", "dtypes", "shape", "why"),
    [
        ("qweight", {"I32"}, (4, 4), "qweight is I32 4x3; the other parts ask for I32 4x4"),
        ("qweight", {"I64"}, (4, 3), "qweight is I32 4x3; the other parts ask for I64 4x3"),
        ("scales", FLOATS, (None, 4), r"scales is F16 2x3; the other parts ask for BF16 or F16 or F32 \?x4"),
        ("qweight", {"I32"}, (12,), "qweight is I32 4x3; .* I32 12"),
        ("qweight", {"I32"}, (4, 3, 1), "qweight is I32 4x3; .* I32 4x3x1"),
        ("qzeros", {"I32"}, (None,), "has no qzeros"),
    ],
)
def test_requirements_that_are_not(
    parts: ModuleParts, part: str, dtypes: set[str], shape: tuple[int | None, ...], why: str
) -> None:
    with pytest.raises(MalformedFile, match=rf"x\.safetensors: model\.proj: {why}"):
        parts.require(part, dtypes, shape)


def test_a_part_that_is_missing(parts: ModuleParts) -> None:
    for ask in (parts.dtype, parts.shape, parts.read):
        with pytest.raises(MalformedFile, match=r"model\.proj: has no g_idx"):
            ask("g_idx")


def test_the_error_names_file_and_module(parts: ModuleParts) -> None:
    error = parts.malformed("is odd")
    assert isinstance(error, MalformedFile)
    assert str(error).endswith("x.safetensors: model.proj: is odd; download it again")
