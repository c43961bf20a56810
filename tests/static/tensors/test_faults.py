from pathlib import Path

from tensor_folders import modules_of

from qaudit.static.tensors.faults import required, shaped, typed, up
from qaudit.static.tensors.shapes import shape_text


def test_checks(tmp_path: Path) -> None:
    module = modules_of(tmp_path, {"x.weight": ("F16", (2, 3), None)})["x"]
    assert [f.code for f in required(module, "weight", "scales")] == ["part-missing"]
    assert [f.code for f in typed(module, "weight", {"I32"})] == ["part-type"]
    assert list(typed(module, "weight", {"F16"})) == []
    assert list(typed(module, "gone", {"F16"})) == []
    assert [f.code for f in shaped(module, "weight", (2,), (3, 2))] == ["part-shape"]
    assert list(shaped(module, "weight", (2, 3))) == []


def test_numbers() -> None:
    assert (up(0, 8), up(1, 8), up(16, 8), up((1 << 60) + 1, 2)) == (0, 1, 2, (1 << 59) + 1)
    assert (shape_text(()), shape_text((2, 3))) == ("a scalar", "2x3")
