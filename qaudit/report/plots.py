"""Inline SVG plots for the HTML report; every label is escaped, every plot has a table beside it.

Colours come from the page's CSS classes, so that light, dark and print follow the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from qaudit.values import PairedRate, Rate

WIDTH = 720
LABEL = 190
BAR = 11
ROW = 40
PLOT = WIDTH - LABEL - 70
LONGEST_LABEL = 26


@dataclass(frozen=True, slots=True)
class LadderPoint:
    """One checkpoint of a ladder: x is bits per weight, the figures are fractions."""

    name: str
    bits: float
    refusal: float | None
    accuracy: float | None
    rtsi: float | None
    status: str


def category_bars(pairs: Mapping[str, PairedRate]) -> Markup:
    """Return bars of the refusal rate per category, reference over candidate, with 95 % intervals."""
    height = 34 + ROW * len(pairs)
    parts = [_open(height, "Refusal rate per category on both arms, with 95 % intervals")]
    for tick in range(0, 101, 25):
        x = LABEL + PLOT * tick / 100
        parts.append(
            Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="4" y2="{1}"/>').format(x, height - 26)
        )
        parts.append(
            Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="middle">{} %</text>').format(
                x, height - 10, tick
            )
        )
    for row, (name, pair) in enumerate(pairs.items()):
        top = 8 + ROW * row
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
                LABEL - 10, top + 16, _label(name)
            )
        )
        parts.append(_bar(pair.reference, top, "reference"))
        parts.append(_bar(pair.candidate, top + BAR + 2, "candidate"))
        parts.append(
            Markup('<text class="axis" x="{}" y="{}">{:+.0f}</text>').format(
                WIDTH - 52, top + 16, 100 * pair.delta
            )
        )
    return _close(parts)


def _bar(rate: Rate, top: float, arm: str) -> Markup:
    width = PLOT * rate.rate
    low, high = (LABEL + PLOT * end for end in rate.ci95)
    middle = top + BAR / 2
    return Markup(
        '<rect class="{}" x="{}" y="{:.1f}" width="{:.1f}" height="{}"><title>{}: {:.1f} % of {}</title></rect>'
        '<path class="whisker" d="M{:.1f} {:.1f}H{:.1f}M{:.1f} {:.1f}v6M{:.1f} {:.1f}v6"/>'
    ).format(
        arm, LABEL, top, width, BAR, arm, 100 * rate.rate, rate.n,
        low, middle, high, low, middle - 3, high, middle - 3,
    )  # fmt: skip


def feature_bars(shares: Sequence[tuple[str, float]]) -> Markup:
    """Return bars of what each RTSI feature contributes to the score (|delta| / maximum, 1 is the matrix's largest)."""
    height = 14 + 28 * len(shares)
    parts = [_open(height, "RTSI features relative to the largest in the calibration matrix")]
    for row, (name, share) in enumerate(shares):
        top = 8 + 28 * row
        width = PLOT * min(share, 1.0)
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
                LABEL - 10, top + 11, _label(name)
            )
        )
        parts.append(
            Markup('<rect class="candidate" x="{}" y="{}" width="{:.1f}" height="13"/>').format(
                LABEL, top, width
            )
        )
        parts.append(
            Markup('<text class="axis" x="{:.1f}" y="{}">{:.2f}</text>').format(
                LABEL + width + 6, top + 11, share
            )
        )
    return _close(parts)


def ladder(points: Sequence[LadderPoint]) -> Markup:
    """Return refusal and accuracy against bits per weight; a marker's shape tells which is which."""
    height, left, bottom, top = 300, 60, 250, 16
    lowest, highest = min(p.bits for p in points), max(p.bits for p in points)
    span = max(highest - lowest, 1e-9)
    plot = WIDTH - left - 40

    def x(point: LadderPoint) -> float:
        return left + plot * (point.bits - lowest) / span if span > 1e-6 else left + plot / 2

    def y(value: float) -> float:
        return bottom - (bottom - top) * value

    parts = [_open(height, "Refusal rate and accuracy against bits per weight")]
    for tick in range(0, 101, 25):
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
                left, WIDTH - 40, y(tick / 100), y(tick / 100)
            )
        )
        parts.append(
            Markup('<text class="axis" x="{}" y="{:.1f}" text-anchor="end">{} %</text>').format(
                left - 8, y(tick / 100) + 4, tick
            )
        )
    ordered = sorted(points, key=lambda p: p.bits)
    for attribute, css in (("refusal", "candidate"), ("accuracy", "reference")):
        known = [(x(p), y(value)) for p in ordered if (value := getattr(p, attribute)) is not None]
        path = " ".join(f"{'M' if i == 0 else 'L'}{px:.1f} {py:.1f}" for i, (px, py) in enumerate(known))
        parts.append(Markup('<path class="curve {}" d="{}"/>').format(css, path))
    for point in ordered:
        title = f"{point.name}: {point.bits:.2f} bits, {point.status}"
        if point.refusal is not None:
            parts.append(
                Markup(
                    '<circle class="{} {}" cx="{:.1f}" cy="{:.1f}" r="5"><title>{}</title></circle>'
                ).format("candidate", point.status, x(point), y(point.refusal), title)
            )
        if point.accuracy is not None:
            parts.append(
                Markup(
                    '<rect class="reference" x="{:.1f}" y="{:.1f}" width="8" height="8"><title>{}</title></rect>'
                ).format(x(point) - 4, y(point.accuracy) - 4, title)
            )
        parts.append(
            Markup('<text class="axis" transform="translate({:.1f} {}) rotate(35)">{}</text>').format(
                x(point) - 4, bottom + 14, _label(point.name)
            )
        )
    return _close(parts)


def _open(height: float, description: str) -> Markup:
    return Markup('<svg viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">').format(
        WIDTH, height, description
    )


def _close(parts: Sequence[Markup]) -> Markup:
    return Markup("").join([*parts, Markup("</svg>")])


def _label(text: str) -> Markup:
    words = text.replace("_", " ")
    return escape(words if len(words) <= LONGEST_LABEL else words[: LONGEST_LABEL - 1] + "…")
