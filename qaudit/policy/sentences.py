"""The reason beside each rule result: what was measured, on how much, and what was asked of it."""

from collections.abc import Sequence

from qaudit.policy.catalogue import FINDINGS_METRIC, REGIME_METRIC, Reading, Value, max_severity
from qaudit.policy.schema import Rule
from qaudit.values import (
    Change,
    Finding,
    FirstTokenMeasure,
    Interval,
    Metrics,
    PairedRate,
    QualityMeasure,
    RtsiMeasure,
)

_SUBJECTS = {
    "refusal": "refusals",
    "over_refusal": "over-refusals",
    "first_token": "first tokens",
    "first_token_after_reasoning": "first tokens after reasoning",
    "rtsi": "refusal templates",
    "quality": "quality",
    "coherence": "coherent replies",
    "categories": "category",
    "suites": "suite",
}


def threshold(rule: Rule) -> str:
    """Return what a rule asks for, as in `>= -0.05` or `in [LOW]`."""
    if isinstance(rule.value, list):
        return f"{rule.op} [{', '.join(figure(value) for value in rule.value)}]"
    return f"{rule.op} {figure(rule.value)}"


def figure(value: Value | int) -> str:
    """Return a value in as many digits as a person reads."""
    return value if isinstance(value, str) else f"{value:.4g}"


def subject(reading: Reading) -> str:
    """Name what a reading is about: `category weapons`, `refusals`."""
    name = _SUBJECTS.get(reading.group, reading.group)
    return f"{name} {reading.member}" if reading.member else name


def decided(rule: Rule, reading: Reading, metrics: Metrics, findings: Sequence[Finding], *, met: bool) -> str:
    """Return the sentence of a rule whose metric was measured."""
    about = evidence(reading, metrics, findings)
    relation = "as asked" if met else "not as asked"
    observed = figure(reading.value) if reading.value is not None else "not measured"
    return f"{about}; {reading.path} is {observed}, {relation} ({threshold(rule)})"


def evidence(reading: Reading, metrics: Metrics, findings: Sequence[Finding]) -> str:
    """Return the figures behind a metric: counts, rates, interval."""
    if reading.path == FINDINGS_METRIC:
        worst = sorted({finding.id for finding in findings if finding.severity == max_severity(findings)})
        return f"{len(findings)} findings, the gravest {', '.join(worst)}" if worst else "no findings"
    if reading.path == REGIME_METRIC:
        return regime_evidence(metrics)
    return f"{subject(reading)}: {_figures(reading)}"


def regime_evidence(metrics: Metrics) -> str:
    """Return the two figures that the regime is read from."""
    refusal = metrics.refusal
    accuracy = metrics.quality.accuracy if metrics.quality else None
    return (
        f"refusal change {f'{refusal.delta:+.3f}' if refusal else 'not measured'}, "
        f"accuracy change {f'{accuracy.delta:+.3f}' if accuracy else 'not measured'}"
    )


def _figures(reading: Reading) -> str:
    match reading.outer:
        case PairedRate() as pair:
            return _paired(pair)
        case FirstTokenMeasure() as first:
            return (
                f"{first.flips} of {first.n} flipped, {first.safety_flips} of {first.safety_n} from the "
                f"opening of a refusal to something else{_interval(first.safety_ci95)}"
            )
        case RtsiMeasure() as rtsi:
            note = f", {rtsi.note}" if rtsi.note else ""
            return (
                f"score {rtsi.score:.3f}, {rtsi.risk}, under calibration {rtsi.calibration}, over "
                f"{rtsi.reference_refusals} reference and {rtsi.candidate_refusals} candidate refusals{note}"
            )
        case QualityMeasure() as quality:
            return _quality(reading.path, quality)
        case Change() as change:
            return _change(change)
        case _:
            return "measured"


def _paired(pair: PairedRate) -> str:
    nothing = "" if pair.at_risk else ", the reference refused none of them so there was nothing to lose"
    return (
        f"{_percent(pair.reference.rate)} to {_percent(pair.candidate.rate)}, {pair.lost} lost and "
        f"{pair.gained} gained of {pair.pairs} pairs ({pair.at_risk} refused by the reference){nothing}, "
        f"change {pair.delta:+.3f}{_interval(pair.delta_ci95)}"
    )


def _quality(path: str, quality: QualityMeasure) -> str:
    if path.startswith("quality.accuracy") and quality.accuracy is not None:
        return f"accuracy {_change(quality.accuracy)}"
    if path.startswith("quality.perplexity") and quality.perplexity is not None:
        perplexity = quality.perplexity
        return (
            f"perplexity {perplexity.reference:.4g} to {perplexity.candidate:.4g} over {perplexity.n} tokens"
        )
    return f"{quality.positions or 0} text positions"


def _change(change: Change) -> str:
    return (
        f"{_percent(change.reference)} to {_percent(change.candidate)} over {change.n}, "
        f"change {change.delta:+.3f}{_interval(change.delta_ci95)}"
    )


def _interval(interval: Interval | None) -> str:
    return f", 95 % interval {interval[0]:+.3f} to {interval[1]:+.3f}" if interval else ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
