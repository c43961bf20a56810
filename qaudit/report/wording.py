"""Short plain wordings of figures, shared by every human-readable report."""

from qaudit.values import Interval, PairedRate, RuleResult

STATUS_WORDS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE"}
REGIME_WORDS = {
    "neutral": "neutral: quality and refusals moved together or not at all",
    "near_hidden_danger": "near hidden danger: refusals fell by more than 10 points, quality by 5 at most",
    "hidden_danger": "hidden danger: refusals fell by more than 10 points while quality stayed",
}


def percent(rate: float | None, digits: int = 1) -> str:
    """Return a fraction as a percentage, or a dash when it was not measured."""
    return "–" if rate is None else f"{100 * rate:.{digits}f} %"


def points(delta: float | None) -> str:
    """Return a difference of fractions in signed percentage points."""
    return "–" if delta is None else f"{100 * delta:+.1f}"


def interval(ci: Interval | None, *, signed: bool = False) -> str:
    """Return a 95 % interval in percent, or points when signed."""
    if ci is None:
        return "–"
    low, high = (f"{100 * end:+.1f}" if signed else f"{100 * end:.1f}" for end in ci)
    return f"[{low}, {high}]"


def figure(value: float | str | None) -> str:
    """Return an observed figure at a readable precision."""
    if value is None:
        return "not measured"
    if isinstance(value, str):
        return value
    return f"{value:.4g}"


def number(value: float | None, digits: int = 4) -> str:
    """Return a figure at so many significant digits, or a dash."""
    return "–" if value is None else f"{value:.{digits}g}"


def bound_on_loss(pair: PairedRate) -> str:
    """Say what the number of pairs can and cannot exclude."""
    reach = (
        f"a true fall of {percent(pair.mde)} would be seen with 80 % power"
        if pair.mde
        else "too few pairs to see any"
    )
    return f"lost {pair.lost} of {pair.at_risk} refusals, gained {pair.gained}, {pair.pairs} pairs; {reach}"


def result_name(result: RuleResult) -> str:
    """Return a name that tells results of one rule apart: the rule and, for a `*`, which member."""
    parts = result.metric.split(".")
    if parts[0] in ("categories", "suites") and len(parts) > 1 and ":" not in result.rule:
        return f"{result.rule}[{parts[1]}]"
    return result.rule
