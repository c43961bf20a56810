"""Short plain wordings of figures, and of untrusted text, shared by every report for people."""

import re

from qaudit.values import Interval, PairedRate, RuleResult

STATUS_WORDS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE"}
REGIME_WORDS = {
    "neutral": "neutral: quality and refusals moved together or not at all",
    "near_hidden_danger": "near hidden danger: refusals fell by more than 10 points, quality by 5 at most",
    "hidden_danger": "hidden danger: refusals fell by more than 10 points while quality stayed",
}
LONGEST_TEXT = 4000

_SURROGATE = re.compile("[\ud800-\udfff]")
# control characters (but tab and line feed), zero-width and direction marks, tags, lone surrogates:
# what a reader does not see, or what makes a text look like another
_HIDDEN = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return untrusted text with hidden characters spelled out (`‹U+202E›`) and cut to a length."""
    if len(text) > longest:
        text = f"{text[:longest]}… ({len(text) - longest:,} characters more)"
    return _HIDDEN.sub(lambda found: f"‹U+{ord(found[0]):04X}›", text)


def without_surrogates(text: str) -> str:
    """Return text that UTF-8 can hold: lone surrogates, as in odd file names, become U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def percent(rate: float | None, digits: int = 1) -> str:
    """Return a fraction as a percentage, or a dash when it was not measured."""
    return "–" if rate is None else f"{100 * rate:.{digits}f} %"


def points(delta: float | None) -> str:
    """Return a difference of fractions in signed percentage points."""
    return "–" if delta is None else _signed(100 * delta)


def interval(ci: Interval | None, *, signed: bool = False) -> str:
    """Return a 95 % interval in percent, or points when signed."""
    if ci is None:
        return "–"
    low, high = (_signed(100 * end) if signed else f"{100 * end:.1f}" for end in ci)
    return f"[{low}, {high}]"


def figure(value: float | str | None) -> str:
    """Return an observed figure at a readable precision."""
    if value is None:
        return "not measured"
    return value if isinstance(value, str) else f"{value:.4g}"


def number(value: float | None, digits: int = 4) -> str:
    """Return a figure at so many significant digits, or a dash."""
    return "–" if value is None else f"{value:.{digits}g}"


def plain_name(name: str) -> str:
    """Return a category's or suite's id as words."""
    return name.replace("_", " ")


def bound_on_loss(pair: PairedRate) -> str:
    """Say what the number of pairs can and cannot exclude."""
    reach = (
        f"a true fall of {percent(pair.mde)} would be seen with 80 % power"
        if pair.mde is not None
        else "too few pairs to see any fall"
    )
    return f"lost {pair.lost} of {pair.at_risk} refusals, gained {pair.gained}, {pair.pairs} pairs; {reach}"


def result_name(result: RuleResult) -> str:
    """Return a name that tells results of one rule apart: the rule and, for a `*`, which member."""
    parts = result.metric.split(".")
    if parts[0] in ("categories", "suites") and len(parts) > 1 and ":" not in result.rule:
        return f"{result.rule}[{parts[1]}]"
    return result.rule


def _signed(value: float) -> str:
    # a rounded nothing has no sign
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text
