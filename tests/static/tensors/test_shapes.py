from qaudit.static.tensors.shapes import MOST_DIMENSIONS, shape_text


def test_a_shape_is_written_as_people_do() -> None:
    assert shape_text((4096, 11008)) == "4096x11008"
    assert shape_text(()) == "a scalar"


def test_what_is_cut_is_told() -> None:
    assert shape_text((1,) * MOST_DIMENSIONS) == "x".join("1" * MOST_DIMENSIONS)
    assert shape_text((2,) * 1000) == "x".join("2" * MOST_DIMENSIONS) + "x…"
