"""`report.html`: one self-contained page without scripts or outside requests.

Everything that came from a checkpoint, a suite or a reply is untrusted text: Jinja escapes all of
it, hidden characters are spelled out, the only markup let through is our own SVG (`plots.py`
escapes its labels), and a content security policy forbids everything but inline style.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import jinja2

from qaudit.report import plots, wording
from qaudit.report.pages import page_environment
from qaudit.report.reasons import reasons
from qaudit.report.untrusted import encodable, one_line
from qaudit.values import Metrics, Report, Status

MAX_EXAMPLES = 15
MAX_FINDINGS = 200
LONGEST_PATH = 500
_WORST_FIRST: tuple[Status, ...] = ("fail", "inconclusive", "pass")
FEATURES = (
    ("dominant_prefix_share", "share of the commonest refusal opening"),
    ("unique_prefix_rate", "distinct openings per refusal"),
    ("prefix_entropy_norm", "evenness of openings (normalised entropy)"),
    ("mean_tokens_refusal", "mean length of refusals, tokens"),
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the overview; `status` is the worst result of the rules on it."""

    title: str
    figure: str
    note: str
    status: Status | None


def render(report: Report, ladder: Sequence[plots.LadderPoint] = ()) -> str:
    """Return the page.

    Args:
        report: what to show.
        ladder: checkpoints of the same reference to place this one among; fewer than two for none.
    """
    metrics = report.metrics
    rules = sorted(report.verdict.rules, key=lambda r: _WORST_FIRST.index(r.status))
    # worst first, so that what matters is not below the fold
    categories = dict(sorted(metrics.categories.items(), key=lambda pair: (pair[1].delta, pair[0])))
    rungs = sorted(ladder, key=lambda p: (p.bits, p.name)) if len(ladder) > 1 else []
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            reasons=reasons(report),
            tiles=_tiles(report),
            broken=[r for r in rules if r.status != "pass"],
            passed=[r for r in rules if r.status == "pass"],
            categories=categories,
            category_plot=plots.category_bars(categories) if categories else "",
            rtsi_plot=plots.rtsi_bars(metrics.rtsi) if metrics.rtsi and metrics.rtsi.contributions else "",
            features=FEATURES,
            rungs=rungs,
            ladder_plot=plots.ladder(rungs, report.checkpoint.sha256) if rungs else "",
            unmeasured=_unmeasured(metrics),
            max_examples=MAX_EXAMPLES,
            max_findings=MAX_FINDINGS,
        )
    )
    return encodable(page)


def ladder_point(report: Report) -> plots.LadderPoint | None:
    """Return a report's place on a ladder; None without bits per weight."""
    metrics, bits = report.metrics, report.checkpoint.bits_per_weight
    if bits is None:
        return None
    accuracy = metrics.quality.accuracy if metrics.quality else None
    return plots.LadderPoint(
        name=report.checkpoint.quantization,
        bits=bits,
        refusal=metrics.refusal.candidate.rate if metrics.refusal else None,
        accuracy=accuracy.candidate if accuracy else None,
        rtsi=metrics.rtsi.score if metrics.rtsi else None,
        status=report.verdict.status,
        sha256=report.checkpoint.sha256,
    )


def _tiles(report: Report) -> list[Tile]:
    metrics = report.metrics
    tiles = []
    for title, group, pair in (
        ("Harmful requests refused", "refusal", metrics.refusal),
        ("Harmless requests refused", "over_refusal", metrics.over_refusal),
    ):
        if pair:
            note = f"{wording.points(pair.delta)} points on {pair.pairs} prompts"
            shift = _shift(pair.reference.rate, pair.candidate.rate)
            tiles.append(Tile(title, shift, note, _worst(report, group)))
    if metrics.quality and (accuracy := metrics.quality.accuracy):
        shift = _shift(accuracy.reference, accuracy.candidate)
        note = f"{wording.points(accuracy.delta)} points on {accuracy.n} questions"
        tiles.append(Tile("Accuracy", shift, note, _worst(report, "quality")))
    if rtsi := metrics.rtsi:
        note = f"RTSI {rtsi.score:.3f}"
        words = {"LOW": "as before", "MODERATE": "shifting", "HIGH": "changed"}[rtsi.risk]
        tiles.append(Tile("Wording of refusals", words, f"{note}, {rtsi.risk}", _worst(report, "rtsi")))
    if first := metrics.first_token:
        tiles.append(
            Tile(
                "Refusals opened otherwise",
                f"{first.safety_flips} of {first.safety_n}",
                "first-token safety flips",
                _worst(report, "first_token"),
            )
        )
    return tiles


def _shift(reference: float, candidate: float) -> str:
    return f"{100 * reference:.1f} → {wording.percent(candidate)}"


def _worst(report: Report, group: str) -> Status | None:
    found = {r.status for r in report.verdict.rules if r.metric.split(".")[0] == group}
    return next((status for status in _WORST_FIRST if status in found), None)


def _unmeasured(metrics: Metrics) -> list[str]:
    named = {
        "refusal rates": metrics.refusal,
        "over-refusal": metrics.over_refusal,
        "first-token flips": metrics.first_token,
        "RTSI (needs at least 10 refusals of the reference)": metrics.rtsi,
        "multiple-choice accuracy": metrics.quality.accuracy if metrics.quality else None,
        "perplexity and divergence on text": metrics.quality.perplexity_ratio if metrics.quality else None,
        "coherence of replies": metrics.coherence,
    }
    return [name for name, value in named.items() if value is None] + list(metrics.unmeasured)


@cache
def _environment() -> jinja2.Environment:
    environment = page_environment("qaudit.report")
    environment.filters.update(
        figure=wording.figure,
        p_value=wording.p_value,
        member_name=wording.member_name,
        split_why=wording.evidence_and_reason,
        bound=wording.bound_on_loss,
        path=lambda text: one_line(text, LONGEST_PATH),
    )
    environment.globals["status_words"] = wording.STATUS_WORDS
    environment.globals["regime_words"] = wording.REGIME_WORDS
    return environment
