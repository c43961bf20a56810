"""Plots of a matrix as inline SVG: figures against bits per weight, and the map of regimes.

Every label is escaped, every figure is in the table too, and colours come from the page's classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from qaudit.matrix.marks import Mark, draw
from qaudit.metrics.regimes import HIDDEN_QUALITY_LOSS, NEAR_QUALITY_LOSS, REFUSAL_FALL

HEIGHT, TOP, BOTTOM = 250.0, 16.0, 232.0
MAP_HEIGHT, MAP_TOP, MAP_BOTTOM = 380.0, 14.0, 362.0
# percent of the width that the outermost marks keep from the edges
MARGIN = 7.0
MAX_TICKS = 9


@dataclass(frozen=True, slots=True)
class Point:
    """One row's figure. `x` in bits or as a fraction, `y` as a fraction or a score; `series` joins points."""

    number: int
    name: str
    x: float
    y: float
    shape: str
    status: str
    series: str | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line with its name: the reference's own figure, or a cut-off."""

    y: float
    name: str


def ladder(points: Sequence[Point], title: str, *, percent: bool, levels: Sequence[Level] = ()) -> Markup:
    """Return a figure against bits per weight; the points of a series are joined.

    Args:
        points: the rows.
        title: what is drawn, for those who cannot see it.
        percent: whether the figure is a fraction, drawn from 0 to 100 %; else it starts at 0.
        levels: lines to compare with.
    """
    highest = 1.0 if percent else _round_up(max([p.y for p in points] + [level.y for level in levels]))
    wide = _Scale(*_span([p.x for p in points]), MARGIN, 100 - MARGIN)
    tall = _Scale(0.0, highest, BOTTOM, TOP)
    ticks = [highest * k / 4 for k in range(5)]
    parts = [_horizontal("grid", tall(tick)) for tick in ticks]
    parts += [_level(level, tall) for level in levels if level.y <= highest]
    for series in sorted({p.series for p in points if p.series}):
        rungs = sorted((p.x, p.y) for p in points if p.series == series)
        parts += [
            _line("curve joined", wide(a[0]), wide(b[0]), tall(a[1]), tall(b[1])) for a, b in pairwise(rungs)
        ]
    marks = [
        Mark(
            p.number,
            wide(p.x),
            tall(p.y),
            p.shape,
            p.status,
            f"{p.number} {p.name}: {_told(p.y, percent)} at {p.x:.2f} bits a weight",
            *((tall(p.interval[0]), tall(p.interval[1])) if p.interval else ()),
        )
        for p in points
    ]
    side = [(tall(tick), f"{100 * tick:.0f} %" if percent else f"{tick:g}") for tick in ticks]
    below = [(wide(bits), f"{bits:g}") for bits in _bit_ticks(wide.low, wide.high)]
    inner = Markup("").join([*parts, draw(marks, HEIGHT)])
    return _framed(inner, title, HEIGHT, side, below, "bits per weight")


def regime_map(points: Sequence[Point]) -> Markup:
    """Return accuracy's change (x) against refusals' change (y) over the regimes' areas.

    The areas are those of arXiv 2606.10154 with accuracy as the quality score: refusals down by more
    than 10 points with accuracy down by at most 3 (hidden danger) or 5 (near hidden danger).
    """
    left, right = _widened([p.x for p in points], -0.08, 0.04)
    bottom, top = _widened([p.y for p in points], -0.2, 0.05)
    wide, tall = _Scale(left, right, 0.0, 100.0), _Scale(bottom, top, MAP_BOTTOM, MAP_TOP)
    fall = tall(-REFUSAL_FALL)
    near, hidden = wide(-NEAR_QUALITY_LOSS), wide(-HIDDEN_QUALITY_LOSS)
    parts = [
        _area("danger", hidden, 100.0, fall, MAP_BOTTOM, "hidden danger"),
        _area("near", near, hidden, fall, MAP_BOTTOM, "near"),
        _area("neutral", 0.0, near, fall, MAP_BOTTOM, "quality falls too"),
        _horizontal("cut", fall),
        _line("cut", hidden, hidden, fall, MAP_BOTTOM),
        _line("cut", near, near, fall, MAP_BOTTOM),
        _horizontal("zero", tall(0.0)),
        _line("zero", wide(0.0), wide(0.0), MAP_TOP, MAP_BOTTOM),
    ]
    marks = [
        Mark(
            p.number,
            wide(p.x),
            tall(p.y),
            p.shape,
            p.status,
            f"{p.number} {p.name}: refusals {100 * p.y:+.1f} points, accuracy {100 * p.x:+.1f} points",
        )
        for p in points
    ]
    side = [(tall(tick), f"{100 * tick:+.0f}" if tick else "0") for tick in _ticks(bottom, top)]
    below = [(wide(tick), f"{100 * tick:+.0f}" if tick else "0") for tick in _ticks(left, right)]
    inner = Markup("").join([*parts, draw(marks, MAP_HEIGHT)])
    title = "Change of refusals against change of accuracy"
    return _framed(inner, title, MAP_HEIGHT, side, below, "change of accuracy, points")


@dataclass(frozen=True, slots=True)
class _Scale:
    """Maps [low, high] to [start, end]; what lies outside stays at the edge."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high - low > 0.5 else (low - 0.5, high + 0.5)


def _widened(values: Sequence[float], low: float, high: float) -> tuple[float, float]:
    least, most = min([*values, low]), max([*values, high])
    room = 0.06 * (most - least)
    return least - room, most + room


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 8 times a power of ten: four equal parts of it are round."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * (1 - 1e-9))


def _ticks(low: float, high: float) -> list[float]:
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if (high - low) / s <= MAX_TICKS)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _bit_ticks(low: float, high: float) -> list[float]:
    step = next(s for s in (0.5, 1, 2, 4, 8, 16, 64, 256, high) if (high - low) / s <= MAX_TICKS)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _told(value: float, percent: bool) -> str:
    return f"{100 * value:.1f} %" if percent else f"{value:.3f}"


def _level(level: Level, tall: _Scale) -> Markup:
    return Markup('{}<text class="level" x="0" y="{:.1f}">{}</text>').format(
        _horizontal("cut", tall(level.y)), tall(level.y) - 4, level.name
    )


def _area(css: str, left: float, right: float, top: float, bottom: float, name: str) -> Markup:
    return Markup(
        '<rect class="area {0}" x="{1:.2f}%" width="{2:.2f}%" y="{3:.1f}" height="{4:.1f}"/>'
        '<text class="area-name" x="{5:.2f}%" y="{6:.1f}" text-anchor="middle">{7}</text>'
    ).format(css, left, right - left, top, bottom - top, (left + right) / 2, top + 16, name)


def _horizontal(css: str, y: float) -> Markup:
    return _line(css, 0.0, 100.0, y, y)


def _line(css: str, x1: float, x2: float, y1: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.2f}%" x2="{:.2f}%" y1="{:.1f}" y2="{:.1f}"/>').format(
        css, x1, x2, y1, y2
    )


def _framed(
    inner: Markup,
    title: str,
    height: float,
    side: Sequence[tuple[float, str]],
    below: Sequence[tuple[float, str]],
    axis: str,
) -> Markup:
    left = Markup("").join(
        Markup('<text x="100%" y="{:.1f}" text-anchor="end">{}</text>').format(y + 4, name)
        for y, name in side
    )
    under = Markup("").join(
        Markup('<text x="{:.2f}%" y="13" text-anchor="middle">{}</text>').format(x, name) for x, name in below
    )
    return Markup(
        '<div class="ladder"><svg class="side" height="{0:.0f}" aria-hidden="true">{1}</svg>'
        '<svg height="{0:.0f}" role="img" aria-label="{2}">{3}</svg>'
        '<div></div><svg height="18" aria-hidden="true">{4}</svg>'
        '<div></div><div class="axis-name">{5}</div></div>'
    ).format(height, left, title, inner, under, axis)
