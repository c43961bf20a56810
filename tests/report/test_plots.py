import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from sample_report import HOSTILE, LONG, failing_report

from qaudit.report.plots import LadderPoint, category_bars, ladder, rtsi_bars
from qaudit.values import RtsiMeasure

POINTS = [
    LadderPoint("Q2_K", 3.5, 0.4, 0.9, None, "fail", "aa"),
    LadderPoint(HOSTILE, 5.0, None, None, None, "inconclusive", "bb"),
    LadderPoint("Q8_0", 8.5, 0.93, 0.9, 0.01, "pass", "cc"),
]


def share(text: str) -> float:
    assert text.endswith("%")
    return float(text[:-1]) / 100


def parse(markup: object) -> ET.Element:
    # an attribute needs no value in HTML, but ours all have one: the plot is well-formed XML
    return ET.fromstring(str(markup))


def of_class(root: ET.Element, tag: str, css: str) -> list[ET.Element]:
    return [one for one in root.iter(tag) if css in one.attrib.get("class", "").split()]


def test_bars_are_as_long_as_the_rates_and_whiskers_as_the_intervals() -> None:
    pairs = failing_report().metrics.categories
    root = parse(category_bars(pairs))
    rows = [row for row in root if row.attrib["class"] == "row"]
    assert len(rows) == len(pairs)
    for row, (name, pair) in zip(rows, pairs.items(), strict=True):
        assert row[0].text == name.replace("_", " ")
        for css, rate in (("reference", pair.reference), ("candidate", pair.candidate)):
            (bar,) = of_class(row, "rect", css)
            assert share(bar.attrib["width"]) == pytest.approx(rate.rate, abs=1e-4)
        first, *_ = of_class(row, "line", "whisker")
        assert share(first.attrib["x1"]) == pytest.approx(pair.reference.ci95[0], abs=1e-4)
        assert share(first.attrib["x2"]) == pytest.approx(pair.reference.ci95[1], abs=1e-4)


def test_a_sure_loss_is_marked_and_told_to_those_who_cannot_see() -> None:
    root = parse(category_bars(failing_report().metrics.categories))
    marked = {row[0].text for row in root if row.attrib["class"] == "row" and "bad" in row[2].attrib["class"]}
    assert marked == {"privacy", "hate"}
    labels = [one.attrib["aria-label"] for one in root.iter("svg") if "aria-label" in one.attrib]
    assert "privacy: reference 100.0 %, candidate 16.7 %, change −83.3 points" in labels


def test_the_parts_of_the_score_lie_end_to_end_and_make_it_up() -> None:
    rtsi = RtsiMeasure(
        0.5, "HIGH", None, "ours", 20, 20, "",
        {"dominant_prefix_share": 0.2, "unique_prefix_rate": 0.0, "other_feature": 0.3}, (0.1, 0.25),
    )  # fmt: skip
    root = parse(rtsi_bars(rtsi))
    parts = of_class(root, "rect", "part")
    assert [share(p.attrib["x"]) for p in parts] == pytest.approx([0.0, 0.4, 0.4])
    assert [share(p.attrib["width"]) for p in parts] == pytest.approx([0.4, 0.0, 0.6])
    (whole,) = of_class(root, "rect", "whole")
    assert share(whole.attrib["width"]) == 1.0
    assert "fail" in whole.attrib["class"]
    cuts = {share(line.attrib["x1"]) for line in of_class(root, "line", "cut")}
    assert cuts == {0.2, 0.5}, "the cut-offs are those of the calibration that was used"
    assert root[2][0].text == "other feature"


def test_a_low_score_leaves_room_for_the_cut_offs() -> None:
    rtsi = RtsiMeasure(0.01, "LOW", None, "ours", 20, 20, "", {"unique_prefix_rate": 0.01}, (0.1, 0.4))
    root = parse(rtsi_bars(rtsi))
    assert {share(line.attrib["x1"]) for line in of_class(root, "line", "cut")} == {0.2, 0.8}
    (whole,) = of_class(root, "rect", "whole")
    assert share(whole.attrib["width"]) == pytest.approx(0.02)


def test_a_score_without_cut_offs_is_drawn() -> None:
    rtsi = RtsiMeasure(0.0, "LOW", None, "old", 20, 20, "", {"unique_prefix_rate": 0.0})
    assert of_class(parse(rtsi_bars(rtsi)), "rect", "whole")


def test_the_ladder_puts_each_rung_in_order_and_skips_what_was_not_measured() -> None:
    root = parse(ladder(POINTS, "cc"))
    circles = list(root.iter("circle"))
    assert [c.attrib["class"].split()[1] for c in circles] == ["fail", "pass"]
    assert [share(c.attrib["cx"]) for c in circles] == pytest.approx([1 / 6, 5 / 6], abs=1e-4)
    assert float(circles[0].attrib["cy"]) > float(circles[1].attrib["cy"]), "less refused is lower"
    curves = of_class(root, "line", "curve")
    assert len(curves) == 2, "one stretch for refusal, one for accuracy, over the rung that has neither"
    here = [one for one in root.iter("div") if one.attrib.get("aria-current") == "true"]
    assert [one[0].text for one in here] == ["Q8_0"]


def test_no_rung_is_this_page_where_the_digest_is_unknown() -> None:
    assert "aria-current" not in str(ladder([replace(p, sha256="") for p in POINTS]))


@pytest.mark.parametrize("text", [HOSTILE, LONG, ""])
def test_names_stay_text_and_short(text: str) -> None:
    pair = failing_report().metrics.categories["hate"]
    plots = [category_bars({text: pair}), ladder([replace(POINTS[0], name=text)] * 2)]
    for plot in plots:
        assert {one.tag for one in parse(plot).iter()} <= {
            "div", "svg", "g", "rect", "line", "circle", "text", "title", "b", "span",
        }  # fmt: skip
        assert len(str(plot)) < 12_000


def test_figures_out_of_range_stay_on_the_drawing() -> None:
    far = LadderPoint("far", 1e9, 7.0, -3.0, None, "pass")
    root = parse(ladder([far, far]))
    assert all(0 <= float(c.attrib["cy"]) <= 230 for c in root.iter("circle"))
