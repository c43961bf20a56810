from pathlib import Path
from typing import Any

import pytest
from attacks.gguf_builder import ARRAY, BOOL, F32, I32, STRING, U32, U64, GgufBuilder

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.gguf_numbers import real_number, whole_number
from qaudit.errors import MalformedFile


def opened(folder: Path, kind: int, value: Any) -> GgufCheckpoint:
    pairs: list[Any] = [("general.architecture", STRING, "llama"), ("llama.size", kind, value)]
    return GgufCheckpoint(GgufBuilder(pairs=pairs).write(folder / "m.gguf"))


@pytest.mark.parametrize(
    ("kind", "value"), [(U32, 7), (U64, 7), (I32, 7), (ARRAY, (I32, [7, 7, 7])), (ARRAY, (U32, [7]))]
)
def test_whole_numbers(tmp_path: Path, kind: int, value: Any) -> None:
    assert whole_number(opened(tmp_path, kind, value), "size") == 7


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (U32, 0),
        (I32, -7),
        (U64, 1 << 40),
        (F32, 7.0),
        (BOOL, True),
        (STRING, "7"),
        (ARRAY, (I32, [7, 8])),
        (ARRAY, (I32, [])),
        (ARRAY, (F32, [7.0])),
        (ARRAY, (STRING, ["7"])),
    ],
)
def test_what_is_no_whole_number(tmp_path: Path, kind: int, value: Any) -> None:
    with pytest.raises(MalformedFile, match=r"llama\.size is .*not one positive whole number") as caught:
        whole_number(opened(tmp_path, kind, value), "size", 7)
    assert "\n" not in str(caught.value)


def test_defaults(tmp_path: Path) -> None:
    gguf = opened(tmp_path, F32, 0.5)
    assert whole_number(gguf, "other", 3) == 3
    assert real_number(gguf, "other", 0.0) == 0.0
    for read in (whole_number, real_number):
        with pytest.raises(MalformedFile, match=r"llama\.other is None"):
            read(gguf, "other")


def test_real_numbers(tmp_path: Path) -> None:
    assert real_number(opened(tmp_path, F32, 0.5), "size") == 0.5
    assert real_number(opened(tmp_path, U32, 10000), "size") == 10000.0
    for kind, value in ((F32, float("nan")), (F32, float("inf")), (STRING, "0.5"), (BOOL, True)):
        with pytest.raises(MalformedFile, match="not a finite number"):
            real_number(opened(tmp_path, kind, value), "size")
