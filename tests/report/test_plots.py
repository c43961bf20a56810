import xml.etree.ElementTree as ET

import pytest
from qaudit.report.plots import LadderPoint, category_bars, feature_bars, ladder
from sample_report import HOSTILE, failing_report

POINTS = [
    LadderPoint("Q8_0", 8.5, 0.93, 0.9, 0.01, "pass"),
    LadderPoint("Q2_K", 3.5, 0.4, 0.9, None, "fail"),
    LadderPoint(HOSTILE.replace("\x00", "").replace("\x1b", ""), 5.0, None, None, None, "inconclusive"),
]


def test_bars_are_well_formed_and_as_long_as_the_rates() -> None:
    pairs = failing_report().metrics.categories
    root = ET.fromstring(str(category_bars(pairs)))
    widths = [float(r.attrib["width"]) for r in root.iter("rect")]
    assert len(widths) == 2 * len(pairs)
    full = max(widths)
    for (reference, candidate), pair in zip(
        zip(widths[::2], widths[1::2], strict=True), pairs.values(), strict=True
    ):
        assert reference / full == pytest.approx(pair.reference.rate, abs=0.01)
        assert candidate / full == pytest.approx(pair.candidate.rate, abs=0.01)


def test_feature_bars_stop_at_the_edge() -> None:
    root = ET.fromstring(str(feature_bars([("a", 0.5), ("b", 7.0)])))
    widths = [float(r.attrib["width"]) for r in root.iter("rect")]
    assert widths[1] == 2 * widths[0]


def test_a_ladder_escapes_names_and_skips_what_was_not_measured() -> None:
    root = ET.fromstring(str(ladder(POINTS)))
    assert len(list(root.iter("circle"))) == 2
    assert "script" not in {e.tag for e in root.iter()}


def test_a_ladder_of_equal_rungs_does_not_divide_by_zero() -> None:
    assert "svg" in str(ladder([POINTS[0], POINTS[0]]))
