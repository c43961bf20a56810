"""`report.html`: one self-contained page without scripts or outside requests.

Everything that came from a checkpoint, a suite or a reply is untrusted text: Jinja escapes all of
it, the only markup let through is our own SVG (`plots.py` escapes its labels), and a content
security policy forbids everything but inline style.
"""

from collections.abc import Sequence
from functools import cache

import jinja2

from qaudit.report import plots, wording
from qaudit.values import Report, RtsiMeasure

MAX_EXAMPLES = 30
# the published calibration's largest differences (AUDIT: arXiv 2606.10154) scale the feature bars
RTSI_MAXIMA = (0.56837607, 0.93406593, 0.92165970, 190.551902)
RTSI_NAMES = ("dominant prefix share", "unique prefix rate", "prefix entropy", "mean refusal tokens")


def render(report: Report, ladder: Sequence[plots.LadderPoint] = ()) -> str:
    """Return the page.

    Args:
        report: what to show.
        ladder: checkpoints of the same reference to place this one among; none for no ladder.
    """
    metrics = report.metrics
    broken = [r for r in report.verdict.rules if r.status != "pass"]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            broken=sorted(broken, key=lambda r: r.status != "fail"),
            passed=[r for r in report.verdict.rules if r.status == "pass"],
            categories=dict(sorted(metrics.categories.items())),
            category_plot=plots.category_bars(dict(sorted(metrics.categories.items())))
            if metrics.categories
            else "",
            feature_plot=_feature_plot(metrics.rtsi),
            ladder=sorted(ladder, key=lambda p: p.bits),
            ladder_plot=plots.ladder(ladder) if len(ladder) > 1 else "",
            unmeasured=_unmeasured(report),
            max_examples=MAX_EXAMPLES,
        )
    )


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
    )


def _feature_plot(rtsi: RtsiMeasure | None) -> str:
    if rtsi is None or rtsi.features is None:
        return ""
    f = rtsi.features
    deltas = (
        f.dominant_prefix_share_delta,
        f.unique_prefix_rate_delta,
        f.prefix_entropy_norm_delta,
        f.mean_tokens_refusal_delta,
    )
    shares = [abs(delta) / largest for delta, largest in zip(deltas, RTSI_MAXIMA, strict=True)]
    return plots.feature_bars(list(zip(RTSI_NAMES, shares, strict=True)))


def _unmeasured(report: Report) -> list[str]:
    metrics = report.metrics
    named = {
        "refusal rates": metrics.refusal,
        "over-refusal": metrics.over_refusal,
        "first-token flips": metrics.first_token,
        "RTSI (needs at least 10 refusals of the reference)": metrics.rtsi,
        "multiple-choice accuracy": metrics.quality.accuracy if metrics.quality else None,
        "perplexity and divergence on text": metrics.quality.perplexity_ratio if metrics.quality else None,
    }
    return [name for name, value in named.items() if value is None] + list(metrics.unmeasured)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qaudit.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent,
        points=wording.points,
        interval=wording.interval,
        figure=wording.figure,
        number=wording.number,
        result_name=wording.result_name,
        bound=wording.bound_on_loss,
    )
    environment.globals["status_words"] = wording.STATUS_WORDS
    environment.globals["regime_words"] = wording.REGIME_WORDS
    return environment
