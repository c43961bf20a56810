import xml.etree.ElementTree as ET
from math import hypot

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.matrix.marks import NOMINAL_WIDTH, RADIUS, SHAPES, Mark, draw, moved_apart, outline

HEIGHT = 240.0
PLACES = st.lists(
    st.tuples(st.floats(0, NOMINAL_WIDTH), st.floats(0, HEIGHT)) | st.just((300.0, 100.0)), max_size=40
)


@settings(max_examples=50, deadline=None)
@given(PLACES)
def test_no_mark_covers_another(places: list[tuple[float, float]]) -> None:
    moves = moved_apart(places, HEIGHT)
    assert moves == moved_apart(places, HEIGHT)
    ends = [(x + dx, y + dy) for (x, y), (dx, dy) in zip(places, moves, strict=True)]
    for i, (x, y) in enumerate(ends):
        assert all(hypot(x - a, y - b) >= 2 * RADIUS for a, b in ends[:i])


def test_a_mark_with_room_stays() -> None:
    assert moved_apart([(100, 100), (200, 100)], HEIGHT) == [(0, 0), (0, 0)]
    assert moved_apart([(100, 100), (100, 100)], HEIGHT)[1] != (0, 0)


def test_too_many_marks_are_drawn_all_the_same() -> None:
    assert len(moved_apart([(20.0, 20.0)] * 300, HEIGHT)) == 300


def test_a_moved_mark_keeps_a_dot_where_it_belongs() -> None:
    marks = [Mark(n, 50, 100, "circle", "fail", f"{n} <b>", 80, 120) for n in (1, 2)]
    drawing = ET.fromstring(f"<svg>{draw(marks, HEIGHT)}</svg>")
    assert [e.text for e in drawing.iter("text")] == ["1", "2"]
    assert [e.text for e in drawing.iter("title")] == ["1 <b>", "2 <b>"]
    assert len([e for e in drawing.iter("circle") if "dot" in e.get("class", "")]) == 1
    assert len([e for e in drawing.iter("line") if e.get("class") == "whisker"]) == 2


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_drawn(shape: str) -> None:
    drawn = ET.fromstring(str(outline(shape, "pass")))
    assert drawn.tag == ("circle" if shape == "circle" else "polygon")
    assert drawn.get("class") == "shape pass"
