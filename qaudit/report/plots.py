"""Inline SVG plots for the HTML report; every label is escaped, every plot has a table beside it.

Horizontal positions are percentages and words stand outside the drawings, so that a plot keeps its
letter size on a narrow screen and long names wrap. Colours come from the page's CSS classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from qaudit.report.untrusted import one_line
from qaudit.report.wording import STATUS_WORDS, percent, points, spaced
from qaudit.values import PairedRate, Rate, RtsiMeasure, Status

ROW = 34
BAR = 11
LADDER = 230
LADDER_TOP = 14
LADDER_BOTTOM = LADDER - 12
LONGEST_NAME = 80
FEATURE_NAMES = {
    "dominant_prefix_share": "share of the commonest opening",
    "unique_prefix_rate": "distinct openings",
    "prefix_entropy_norm": "evenness of openings",
    "mean_tokens_refusal": "length of refusals",
}


@dataclass(frozen=True, slots=True)
class LadderPoint:
    """One checkpoint of a ladder; the figures are fractions, `sha256` tells whose page it is."""

    name: str
    bits: float
    refusal: float | None
    accuracy: float | None
    rtsi: float | None
    status: Status
    sha256: str = ""


def category_bars(pairs: Mapping[str, PairedRate]) -> Markup:
    """Return bars of the refusal rate per category, reference over candidate, with 95 % intervals."""
    rows = [
        _row(
            spaced(name),
            Markup("").join(
                [
                    *(_line("grid", tick, tick, 0, ROW) for tick in (0, 25, 50, 75, 100)),
                    _bar(pair.reference, 5, "reference"),
                    _bar(pair.candidate, 5 + BAR + 2, "candidate"),
                ]
            ),
            f"{points(pair.delta)}",
            f"{spaced(name)}: reference {percent(pair.reference.rate)}, candidate "
            f"{percent(pair.candidate.rate)}, change {points(pair.delta)} points",
            "bad" if pair.delta_ci95[1] < 0 else "",
        )
        for name, pair in pairs.items()
    ]
    ticks = Markup("").join(_tick(tick, f"{tick} %") for tick in (0, 25, 50, 75, 100))
    return _plot([*rows, _axis(ticks)])


def rtsi_bars(rtsi: RtsiMeasure) -> Markup:
    """Return what each feature adds to the score, end to end, and the score against the cut-offs."""
    cuts = rtsi.cut_offs or (0.0, 0.0)
    full = max(rtsi.score, cuts[1] * 1.25, 1e-9)
    lines = [_line("cut", 100 * cut / full, 100 * cut / full, 0, ROW) for cut in cuts if cut > 0]
    rows, before = [], 0.0
    for name, part in rtsi.contributions.items():
        shape = _rect("part", 100 * before / full, 100 * part / full, 11, 12)
        label = FEATURE_NAMES.get(name, spaced(name))
        rows.append(_row(label, Markup("").join([*lines, shape]), f"{part:+.3f}", f"{label}: {part:.3f}"))
        before += part
    tier = {"LOW": "pass", "MODERATE": "inconclusive", "HIGH": "fail"}[rtsi.risk]
    whole = _rect(f"whole {tier}", 0, 100 * rtsi.score / full, 8, 18)
    rows.append(
        _row("score", Markup("").join([*lines, whole]), f"{rtsi.score:.3f}", f"score {rtsi.score:.3f}")
    )
    ticks = [_tick(0, "0")]
    if rtsi.cut_offs:
        ticks += [_tick(100 * cut / full, f"{cut:g}") for cut in cuts]
    return _plot([*rows, _axis(Markup("").join(ticks))])


def ladder(ordered: Sequence[LadderPoint], here: str = "") -> Markup:
    """Return refusal and accuracy over the rungs of a ladder, evenly spaced in the order given.

    Args:
        ordered: the rungs, from few bits to many.
        here: the digest of the checkpoint that the page is about.
    """
    centres = [100 * (index + 0.5) / len(ordered) for index in range(len(ordered))]
    parts = [_line("grid", 0, 100, _height(tick), _height(tick)) for tick in (0, 0.25, 0.5, 0.75, 1)]
    for attribute, css in (("accuracy", "reference"), ("refusal", "candidate")):
        known = [
            (x, _height(value))
            for x, point in zip(centres, ordered, strict=True)
            if (value := getattr(point, attribute)) is not None
        ]
        parts += [_line(f"curve {css}", *pair) for pair in _segments(known)]
    for x, point in zip(centres, ordered, strict=True):
        parts += _markers(x, point)
    side = Markup("").join(
        Markup('<text x="100%" y="{:.1f}" text-anchor="end">{} %</text>').format(_height(tick) + 4, tick_name)
        for tick, tick_name in ((0, 0), (0.25, 25), (0.5, 50), (0.75, 75), (1, 100))
    )
    names = Markup("").join(_rung(point, point.sha256 == here != "") for point in ordered)
    return Markup(
        '<div class="ladder"><svg class="side" height="{0}" aria-hidden="true">{1}</svg>'
        '<svg height="{0}" role="img" aria-label="Refusal rate and accuracy by bits a weight">{2}</svg>'
        '<div></div><div class="rungs">{3}</div></div>'
    ).format(LADDER, side, Markup("").join(parts), names)


def _markers(x: float, point: LadderPoint) -> list[Markup]:
    title = f"{one_line(point.name, LONGEST_NAME)}, {point.bits:.2f} bits a weight"
    parts = []
    if point.accuracy is not None:
        parts.append(
            Markup('<svg x="{:.2f}%" y="{:.1f}" class="mark"><title>{}</title>{}</svg>').format(
                x,
                _height(point.accuracy),
                f"{title}: accuracy {percent(point.accuracy)}",
                Markup('<rect class="reference" x="-4.5" y="-4.5" width="9" height="9"/>'),
            )
        )
    if point.refusal is not None:
        circle = Markup(
            '<circle class="candidate {}" cx="{:.2f}%" cy="{:.1f}" r="6"><title>{}</title></circle>'
        )
        told = f"{title}: refused {percent(point.refusal)}"
        parts.append(circle.format(point.status, x, _height(point.refusal), told))
    return parts


def _rung(point: LadderPoint, current: bool) -> Markup:
    return Markup('<div{}><b>{}</b><span>{:.2f} bits</span><span class="tag {}">{}</span>{}</div>').format(
        Markup(' class="here" aria-current="true"') if current else "",
        one_line(point.name, LONGEST_NAME),
        point.bits,
        point.status[0],
        STATUS_WORDS[point.status],
        Markup("<span>this page</span>") if current else "",
    )


def _height(value: float) -> float:
    return LADDER_BOTTOM - (LADDER_BOTTOM - LADDER_TOP) * min(max(value, 0.0), 1.0)


def _segments(known: Sequence[tuple[float, float]]) -> list[tuple[float, float, float, float]]:
    return [(x1, x2, y1, y2) for (x1, y1), (x2, y2) in pairwise(known)]


def _bar(rate: Rate, top: float, arm: str) -> Markup:
    low, high = (100 * end for end in rate.ci95)
    middle = top + BAR / 2
    return Markup("").join(
        [
            _rect(arm, 0, 100 * rate.rate, top, BAR, f"{arm}: {percent(rate.rate)} of {rate.n}"),
            _line("whisker", low, high, middle, middle),
            *(_line("whisker", end, end, middle - 3, middle + 3) for end in (low, high)),
        ]
    )


def _row(name: str, shapes: Markup, value: str, description: str, css: str = "") -> Markup:
    return Markup(
        '<div class="row"><div class="name">{}</div>'
        '<svg height="{}" role="img" aria-label="{}">{}</svg><div class="value {}">{}</div></div>'
    ).format(one_line(name, LONGEST_NAME), ROW, one_line(description, 3 * LONGEST_NAME), shapes, css, value)


def _axis(ticks: Markup) -> Markup:
    return Markup(
        '<div class="row axis" aria-hidden="true"><div></div><svg height="18">{}</svg><div></div></div>'
    ).format(ticks)


def _plot(rows: Sequence[Markup]) -> Markup:
    return Markup('<div class="plot">{}</div>').format(Markup("").join(rows))


def _tick(x: float, label: str) -> Markup:
    anchor = "start" if x < 1 else "end" if x > 99 else "middle"
    return Markup('<text x="{:.2f}%" y="13" text-anchor="{}">{}</text>').format(x, anchor, label)


def _line(css: str, *ends: float) -> Markup:
    x1, x2, y1, y2 = ends
    return Markup('<line class="{}" x1="{:.2f}%" x2="{:.2f}%" y1="{:.1f}" y2="{:.1f}"/>').format(
        css, _clamped(x1), _clamped(x2), y1, y2
    )


def _rect(css: str, x: float, width: float, y: float, height: float, title: str = "") -> Markup:
    return Markup(
        '<rect class="{}" x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="{}"><title>{}</title></rect>'
    ).format(css, _clamped(x), y, _clamped(width), height, title)


def _clamped(share: float) -> float:
    return min(max(share, 0.0), 100.0)
