"""Marks on a plot: one a row, numbered, its shape the format and its colour the verdict.

Marks that would cover one another are moved apart; a dot stays where the figures are, and a line leads
to it. Horizontal places are percentages, so that a plot keeps its letter size on a narrow screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

from markupsafe import Markup

RADIUS = 9.0
GAP = 2.0
# the width for which marks are moved apart; on another they stand a little closer or wider
NOMINAL_WIDTH = 860.0
RINGS, PLACES = 8, 12
SHAPES = ("circle", "square", "diamond", "triangle", "hexagon")


@dataclass(frozen=True, slots=True)
class Mark:
    """One row on a plot.

    Attributes:
        number: of the row in the table.
        x: percent of the width.
        y: pixels from the top.
        shape: one of SHAPES.
        css: class of its colour.
        title: what a pointer shows.
        low, high: ends of an interval in pixels, where there is one.
    """

    number: int
    x: float
    y: float
    shape: str
    css: str
    title: str
    low: float | None = None
    high: float | None = None


def draw(marks: Sequence[Mark], height: float) -> Markup:
    """Return the marks as SVG, intervals and dots first, so that no number is covered by a line."""
    moves = moved_apart([(mark.x * NOMINAL_WIDTH / 100, mark.y) for mark in marks], height)
    under = [_anchor(mark, *move) for mark, move in zip(marks, moves, strict=True)]
    over = [_symbol(mark, *move) for mark, move in zip(marks, moves, strict=True)]
    return Markup("").join([*under, *over])


def moved_apart(places: Sequence[tuple[float, float]], height: float) -> list[tuple[float, float]]:
    """Return by how much each mark is moved, in pixels: (0, 0) where it has room.

    The nearest free place on growing rings is taken, in the order given, so that equal plots are
    drawn alike.
    """
    taken: list[tuple[float, float]] = []
    moves = []
    for x, y in places:
        move = next((m for m in _rings() if _free(x + m[0], y + m[1], taken, height)), (0.0, 0.0))
        taken.append((x + move[0], y + move[1]))
        moves.append(move)
    return moves


def _rings() -> list[tuple[float, float]]:
    step = 2 * RADIUS + GAP
    rings = [(0.0, 0.0)]
    for ring in range(1, RINGS + 1):
        for place in range(PLACES):
            angle = 2 * pi * place / PLACES
            rings.append((ring * step * cos(angle), ring * step * sin(angle)))
    return rings


def _free(x: float, y: float, taken: Sequence[tuple[float, float]], height: float) -> bool:
    inside = RADIUS <= x <= NOMINAL_WIDTH - RADIUS and RADIUS <= y <= height - RADIUS
    apart = 2 * RADIUS + GAP - 0.01
    return inside and all((x - a) ** 2 + (y - b) ** 2 >= apart**2 for a, b in taken)


def _anchor(mark: Mark, dx: float, dy: float) -> Markup:
    parts = []
    if mark.low is not None and mark.high is not None:
        parts.append(Markup('<line class="whisker" y1="{:.1f}" y2="{:.1f}"/>').format(mark.low, mark.high))
    if dx or dy:
        parts.append(
            Markup('<line class="lead-line" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(
                dx, mark.y, mark.y + dy
            )
        )
        parts.append(Markup('<circle class="dot {}" cy="{:.1f}" r="2.5"/>').format(mark.css, mark.y))
    return Markup('<svg x="{:.2f}%" class="mark">{}</svg>').format(mark.x, Markup("").join(parts))


def _symbol(mark: Mark, dx: float, dy: float) -> Markup:
    return Markup(
        '<svg x="{:.2f}%" class="mark"><g transform="translate({:.1f} {:.1f})"><title>{}</title>{}'
        '<text class="number" y="3.5" text-anchor="middle">{}</text></g></svg>'
    ).format(mark.x, dx, mark.y + dy, mark.title, outline(mark.shape, mark.css), mark.number)


def outline(shape: str, css: str) -> Markup:
    """Return a shape around (0, 0)."""
    r = RADIUS
    corners = {
        "square": [(-r + 1, -r + 1), (r - 1, -r + 1), (r - 1, r - 1), (-r + 1, r - 1)],
        "diamond": [(0, -r - 2), (r + 2, 0), (0, r + 2), (-r - 2, 0)],
        "triangle": [(0, -r - 3), (r + 2, r - 1), (-r - 2, r - 1)],
        "hexagon": [(r * cos(pi * k / 3), r * sin(pi * k / 3)) for k in range(6)],
    }.get(shape)
    if corners is None:
        return Markup('<circle class="shape {}" r="{}"/>').format(css, r)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return Markup('<polygon class="shape {}" points="{}"/>').format(css, points)
