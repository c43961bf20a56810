import xml.etree.ElementTree as ET

import pytest

from qaudit.matrix.plots import Level, Point, ladder, regime_map

HOSTILE = "</title><script>alert(1)</script>"


def point(number: int, x: float, y: float, series: str | None = "gguf", name: str = "n") -> Point:
    return Point(number, name, x, y, "circle", "pass", series, (max(0.0, y - 0.1), min(1.0, y + 0.1)))


def parsed(plot: object) -> ET.Element:
    return ET.fromstring(f"<div>{plot}</div>".replace("&nbsp;", " "))


def places(plot: object) -> dict[str, tuple[float, float]]:
    """Where each number's mark stands: percent from the left, pixels from the top, before any move."""
    found = {}
    for svg in parsed(plot).iter("svg"):
        text = svg.find("g/text")
        group = svg.find("g")
        if text is not None and group is not None:
            shift = group.get("transform", "").removeprefix("translate(").rstrip(")").split()
            found[str(text.text)] = (float(svg.get("x", "").rstrip("%")), float(shift[1]))
    return found


def test_more_bits_stand_to_the_right_and_more_refusals_higher() -> None:
    plot = ladder([point(1, 2.6, 0.4), point(2, 4.9, 0.8), point(3, 16, 1.0)], "Refusals", percent=True)
    at = places(plot)
    assert at["1"][0] < at["2"][0] < at["3"][0]
    assert at["1"][1] > at["2"][1] > at["3"][1]
    lines = [e for e in parsed(plot).iter("line") if e.get("class") == "curve joined"]
    assert len(lines) == 2


def test_only_points_of_one_series_are_joined() -> None:
    plot = ladder(
        [point(1, 2, 0.5), point(2, 4, 0.5, "awq"), point(3, 8, 0.5, None), point(4, 8, 0.9)],
        "t",
        percent=True,
    )
    assert len([e for e in parsed(plot).iter("line") if e.get("class") == "curve joined"]) == 1


def test_a_score_has_a_round_axis_and_its_cut_offs() -> None:
    plot = ladder(
        [point(1, 2, 0.73)], "RTSI", percent=False, levels=[Level(0.1, "MODERATE"), Level(0.4, "HIGH")]
    )
    texts = [e.text for e in parsed(plot).iter("text")]
    assert {"MODERATE", "HIGH", "0.2", "0.8"} <= set(texts)
    # nothing was scored above nothing: an axis all the same
    assert "1" in [e.text for e in parsed(ladder([point(1, 2, 0.0)], "t", percent=False)).iter("text")]


@pytest.mark.parametrize("bits", [[4.5], [4.5, 4.5], [1.6, 32.0], [0.0, 1e6]])
def test_any_spread_of_bits_is_drawn(bits: list[float]) -> None:
    plot = ladder([point(n, x, 0.5) for n, x in enumerate(bits)], "t", percent=True)
    assert len(places(plot)) == len(bits)
    assert all(0 <= x <= 100 for x, _ in places(plot).values())


def test_regimes_lie_where_the_paper_draws_them() -> None:
    points = [
        point(1, 0.0, -0.5),
        point(2, -0.029, -0.101),
        point(3, -0.031, -0.5),
        point(4, -0.051, -0.5),
        point(5, 0.02, -0.09),
    ]
    plot = regime_map(points)
    areas = {}
    for rect in parsed(plot).iter("rect"):
        left = float(rect.get("x", "").rstrip("%"))
        areas[rect.get("class", "").split()[1]] = (
            left, left + float(rect.get("width", "").rstrip("%")), float(rect.get("y", "")),
        )  # fmt: skip

    def area(number: int) -> str | None:
        x, y = places(plot)[str(number)]
        return next((name for name, (a, b, top) in areas.items() if a <= x < b and y > top), None)

    assert [area(n) for n in (1, 3, 4, 5)] == ["danger", "near", "neutral", None]
    assert area(2) == "danger"


def test_names_are_escaped() -> None:
    for plot in (
        ladder([point(1, 2, 0.5, name=HOSTILE)], HOSTILE, percent=True, levels=[Level(0.5, HOSTILE)]),
        regime_map([point(1, 0, 0, name=HOSTILE)]),
    ):
        assert "<script" not in plot
        assert parsed(plot) is not None
