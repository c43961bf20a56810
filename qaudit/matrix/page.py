"""`matrix.html`: one self-contained page; a small script of our own sorts its table, and nothing needs it.

All text from checkpoints, suites and manifests is untrusted: Jinja escapes it, hidden characters are
spelled out, and a content security policy allows inline style and the one script whose digest it names.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from qaudit.auditing.outputs import PAGES
from qaudit.matrix import marks, plots
from qaudit.matrix.table import RowResult
from qaudit.matrix.tasks import ROWS
from qaudit.report import wording
from qaudit.report.pages import LONGEST_NAME, page_environment
from qaudit.report.untrusted import encodable, one_line
from qaudit.values import PairedRate, Report

MAX_RULES = 5
TEMPLATES = Path(__file__).parent / "templates"
STATUSES = {**wording.STATUS_WORDS, "error": "ERROR"}
# worst first
ORDER = ("error", "fail", "inconclusive", "pass")


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the page's table; `page` is the address of its report, from the matrix's folder."""

    number: int
    result: RowResult
    family: str
    shape: str
    page: str
    failed: str
    worst: tuple[str, PairedRate] | None

    @property
    def report(self) -> Report | None:
        """Its report, where there is one."""
        return self.result.report


@dataclass(frozen=True, slots=True)
class Panel:
    """The plots of the rows with one reference."""

    reference: str
    plots: tuple[tuple[str, str, Markup], ...]


def render(results: Sequence[RowResult]) -> str:
    """Return the page."""
    families = sorted({_family(r.report) for r in results if r.report})
    shapes = {family: marks.SHAPES[i % len(marks.SHAPES)] for i, family in enumerate(families)}
    lines = [_line(number, result, shapes) for number, result in enumerate(results, 1)]
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    measured = [line for line in lines if line.report]
    reports = [line.report for line in lines if line.report]
    page = (
        _environment()
        .get_template("matrix.html.j2")
        .render(
            lines=lines,
            counts=[(status, sum(r.status == status for r in results)) for status in ORDER],
            labelled=[line for line in lines if line.result.as_labelled is not None],
            has_labels=any(r.row.label or r.row.expected for r in results),
            panels=_panels(measured),
            regime_map=_map(measured),
            legend=[(family, marks.outline(shape, "plain")) for family, shape in shapes.items()],
            categories=sorted(
                {name for line in measured if line.report for name in line.report.metrics.categories}
            ),
            versions=sorted(
                {f"{line.report.tool.name} {line.report.tool.version}" for line in measured if line.report}
            ),
            policies=sorted({report.verdict.policy.name for report in reports}),
            script=Markup(script),  # noqa: S704 - a file of this package
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    return encodable(page)


def _line(number: int, result: RowResult, shapes: dict[str, str]) -> Line:
    report = result.report
    if report is None:
        return Line(number, result, "", "circle", "", "", None)
    failed = list(dict.fromkeys(r.rule for r in report.verdict.rules if r.status == "fail"))
    told = ", ".join(failed[:MAX_RULES]) + (
        f" and {len(failed) - MAX_RULES} more" if failed[MAX_RULES:] else ""
    )
    worst = min(report.metrics.categories.items(), key=lambda pair: (pair[1].delta, pair[0]), default=None)
    family = _family(report)
    address = f"{ROWS}/{quote(result.row.name)}/{PAGES[0]}"
    return Line(number, result, family, shapes[family], address, told, worst)


def _family(report: Report | None) -> str:
    """Return the format that people name: `gguf`, or the scheme of a folder of safetensors."""
    if report is None:
        return ""
    checkpoint = report.checkpoint
    words = checkpoint.quantization.split() if checkpoint.format == "safetensors" else []
    return words[0].lower() if words else checkpoint.format


def _panels(lines: Sequence[Line]) -> list[Panel]:
    references: dict[str, list[Line]] = {}
    for line in lines:
        if line.report and line.report.checkpoint.bits_per_weight is not None:
            references.setdefault(line.report.reference.sha256, []).append(line)
    return [Panel(_reference_name(group), tuple(_ladders(group))) for group in references.values()]


def _reference_name(group: Sequence[Line]) -> str:
    return group[0].result.row.reference


def _ladders(group: Sequence[Line]) -> list[tuple[str, str, Markup]]:
    refused, accurate, scored = [], [], []
    before: list[plots.Level] = []
    right: list[plots.Level] = []
    for line in group:
        if line.report is None:
            continue
        metrics = line.report.metrics
        if pair := metrics.refusal:
            refused.append(_point(line, pair.candidate.rate, pair.candidate.ci95))
            before = [plots.Level(pair.reference.rate, "reference")]
        if metrics.quality and (accuracy := metrics.quality.accuracy):
            accurate.append(_point(line, accuracy.candidate))
            right = [plots.Level(accuracy.reference, "reference")]
        if metrics.rtsi:
            scored.append(_point(line, metrics.rtsi.score))
    drawn = []
    if refused:
        plot = plots.ladder(refused, "Refusal rate by bits per weight", percent=True, levels=before)
        drawn.append(("Harmful requests refused", "95 % Wilson intervals; dashed: the reference", plot))
    if accurate:
        plot = plots.ladder(accurate, "Accuracy by bits per weight", percent=True, levels=right)
        drawn.append(("Accuracy", "multiple choice; dashed: the reference", plot))
    if scored:
        plot = plots.ladder(scored, "RTSI by bits per weight", percent=False, levels=_cut_offs(group))
        drawn.append(("Wording of refusals (RTSI)", "dashed: where MODERATE and HIGH begin", plot))
    return drawn


def _cut_offs(group: Sequence[Line]) -> list[plots.Level]:
    measured = [m for line in group if line.report and (m := line.report.metrics.rtsi)]
    cuts = {m.cut_offs for m in measured if m.cut_offs}
    # rows with several calibrations have no common cut-offs
    if len(cuts) != 1:
        return []
    moderate, high = cuts.pop()
    return [plots.Level(moderate, "MODERATE"), plots.Level(high, "HIGH")]


def _point(line: Line, y: float, interval: tuple[float, float] | None = None) -> plots.Point:
    bits = (line.report.checkpoint.bits_per_weight if line.report else None) or 0.0
    row = line.result.row
    name = one_line(row.name, LONGEST_NAME)
    return plots.Point(line.number, name, bits, y, line.shape, line.result.status, row.series, interval)


def _map(lines: Sequence[Line]) -> Markup | str:
    points = []
    for line in lines:
        if line.report is None or line.report.metrics.refusal is None:
            continue
        quality = line.report.metrics.quality
        if quality and quality.accuracy:
            name = one_line(line.result.row.name, LONGEST_NAME)
            change = quality.accuracy.delta, line.report.metrics.refusal.delta
            points.append(plots.Point(line.number, name, *change, line.shape, line.result.status))
    return plots.regime_map(points) if points else ""


@cache
def _environment() -> jinja2.Environment:
    environment = page_environment("qaudit.matrix", "qaudit.report")
    environment.filters["long"] = lambda text: one_line(text, 2000)
    environment.globals.update(status_words=STATUSES, status_order=ORDER)
    return environment
