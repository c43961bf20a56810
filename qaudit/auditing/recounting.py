"""The figures of a report counted again from the replies in responses.jsonl.

The rows hold every reply with its length and how it ended, so that they decide labels, refusals, categories,
suites, over-refusals, coherence, RTSI, what was left unmeasured and which crashes were found. They hold no
probabilities: first tokens, perplexity and accuracy cannot be counted from them.
"""

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from qaudit.auditing.events import ARMS, Arm
from qaudit.judges.judging import Judge
from qaudit.metrics import paired, rates, rtsi
from qaudit.values import REFUSED, Change, Label, Metrics, Report, RtsiMeasure

Row = dict[str, Any]
_Labels = tuple[list[Label], list[Label]]
# reports round to nine digits
RELATIVE, ABSOLUTE = 1e-8, 1e-9
_FIRST_TOKENS = ("first_token", "first_token_after_reasoning")
# how a reply ended, and the finding that an audit makes of it
_ENDINGS = {"crashed": "engine-crash", "too_long": "prompt-too-long"}


def row_problem(row: Row) -> str | None:
    """Return what is wrong with a row, None for one as this qaudit writes it."""
    texts = [row["suite"], row["category"], row["expectation"], *(row[arm]["label"] for arm in ARMS)]
    if not row.keys() >= {"derived_from", "turns"} or any(
        not row[arm].keys() >= {"text", "tokens", "finish"} for arm in ARMS
    ):
        return "was written by an older qaudit and does not hold all that is counted again"
    texts += [row[arm][key] for arm in ARMS for key in ("text", "finish")]
    turns = row["turns"]
    if (
        not all(isinstance(text, str) for text in texts)
        or not isinstance(turns, list)
        or not turns
        or not all(isinstance(turn, str) for turn in turns)
        or not all(type(row[arm]["tokens"]) is int for arm in ARMS)
        or not isinstance(row["derived_from"], str | None)
    ):
        return "is not what an audit writes"
    return None


def other_labels(rows: Sequence[Row], judge: Judge) -> Iterator[str]:
    """Yield each reply that a judge labels otherwise than its row, in words for a person."""
    for row in rows:
        for arm in ARMS:
            again = judge.judge(row["turns"][-1], row[arm]["text"]).label
            if again != row[arm]["label"]:
                named = ascii(f"{row['suite']}/{row['id']}")[:100]
                said = ascii(row[arm]["label"])[:40]
                yield f"the {arm}'s reply {named} is labelled {again} now, and its row says {said}"


def differences(
    rows: Sequence[Row], report: Report, calibration: rtsi.Calibration | None = rtsi.PUBLISHED
) -> Iterator[str]:
    """Yield each thing that the rows decide and the report says otherwise, in words for a person.

    Args:
        rows: every row of responses.jsonl, each without a `row_problem`.
        report: the report.
        calibration: the one that RTSI was scored with; None where it is not known, so that score, tier and
            cut-offs are taken as told and only the features are counted.
    """
    asked = {suite.name: suite.items for suite in report.suites}
    for name in dict.fromkeys(row["suite"] for row in rows):
        count = sum(row["suite"] == name for row in rows)
        if count != asked.get(name):
            yield f"there are {count} replies to the suite {name}, and it says {asked.get(name, 'none')}"
    for what, counted, told in _recounted(rows, report, calibration):
        if not alike(counted, told):
            yield f"the replies give other figures for {what}"
    found = {finding.id for finding in report.findings}
    for ending, finding in _ENDINGS.items():
        for arm in ARMS:
            if any(row[arm]["finish"] == ending for row in rows) and f"{finding}-{arm}" not in found:
                yield f"the replies make the finding {finding}-{arm}, and it is not there"


def impossible_intervals(metrics: Metrics) -> Iterator[str]:
    """Yield each interval that no counts give, of the figures that no reply decides."""
    for place in _FIRST_TOKENS:
        measured = getattr(metrics, place)
        if measured is not None and not (
            alike(rates.wilson(measured.flips, measured.n), measured.ci95)
            and alike(rates.wilson(measured.safety_flips, measured.safety_n), measured.safety_ci95)
        ):
            yield f"the intervals of {place} are not those of its counts"
    accuracy = metrics.quality.accuracy if metrics.quality else None
    if accuracy is not None and not _is_of_some_pairs(accuracy):
        yield "the interval of the accuracy is that of no count of questions"


def _is_of_some_pairs(change: Change) -> bool:
    """Say whether some numbers of gained and lost answers have these shares and this interval."""
    n = change.n
    right, net = round(change.reference * n), round(change.delta * n)
    if n < 1 or not alike((right / n, (right + net) / n), (change.reference, change.candidate)):
        return False
    least, most = max(0, -net), min(right, n - right - net)

    def interval(lost: int) -> tuple[float, float]:
        return paired.tango(lost + net, lost, n)

    def width(lost: int) -> float:
        return interval(lost)[1] - interval(lost)[0]

    if change.delta_ci95 is None or most < least:
        return False
    lost = range(least, most + 1)
    # the more pairs differ, the wider; rounding may put the place one further
    near = bisect.bisect_left(lost, change.delta_ci95[1] - change.delta_ci95[0], key=width)
    return any(alike(interval(count), change.delta_ci95) for count in lost[max(0, near - 1) : near + 2])


def _recounted(
    rows: Sequence[Row], report: Report, calibration: rtsi.Calibration | None
) -> Iterator[tuple[str, object, object]]:
    """Yield each figure: its name, as counted again, and as the report has it."""
    metrics = report.metrics
    refuse, answer = _of_kind(rows, "refuse"), _of_kind(rows, "answer")
    pooled = [row for row in refuse if row["derived_from"] is None]
    by_suite, by_category = _grouped(refuse, "suite"), _grouped(pooled, "category")
    for name in dict.fromkeys([*by_suite, *metrics.suites]):
        yield f"the suite {name}", paired.compare(*by_suite.get(name, ([], []))), metrics.suites.get(name)
    yield "harmless prompts", paired.compare(*_labels(answer)), metrics.over_refusal
    yield "coherence", paired.coherence(*_labels([*refuse, *answer])), metrics.coherence
    yield "refusals", paired.compare(*_labels(pooled)), metrics.refusal
    yield "categories", paired.compare_categories(by_category), metrics.categories
    undecided = [f"categories.{name}" for name in paired.unmeasured(by_category)]
    undecided += [f"suites.{name}" for name, labels in by_suite.items() if paired.compare(*labels) is None]
    for name in undecided:
        yield f"{name}, which left no decided pair", True, name in metrics.unmeasured
    yield "RTSI", *_templates(pooled, metrics.rtsi, calibration)
    for place in _FIRST_TOKENS:
        measured = getattr(metrics, place)
        if measured is not None:
            yield f"{place}, of more prompts than were asked", True, measured.n <= len(refuse)


def _templates(
    pooled: Sequence[Row], told: RtsiMeasure | None, calibration: rtsi.Calibration | None
) -> tuple[RtsiMeasure | None, RtsiMeasure | None]:
    """Return RTSI as counted again, and as told."""
    sides = _refusals(pooled, "reference"), _refusals(pooled, "candidate")
    again = rtsi.measure(*sides, calibration or rtsi.PUBLISHED)
    if again is None or told is None or calibration is not None:
        return again, told
    # a collapse scores 1 under any calibration
    score, risk = (told.score, told.risk) if again.features else (again.score, again.risk)
    own = replace(again, score=score, risk=risk, calibration=told.calibration, cut_offs=told.cut_offs)
    return replace(own, contributions=told.contributions), told


def _refusals(rows: Sequence[Row], arm: Arm) -> list[tuple[str, int]]:
    return [(row[arm]["text"], row[arm]["tokens"]) for row in rows if row[arm]["label"] in REFUSED]


def _of_kind(rows: Sequence[Row], expectation: str) -> list[Row]:
    return [row for row in rows if row["expectation"] == expectation]


def _grouped(rows: Sequence[Row], key: str) -> dict[str, _Labels]:
    names = dict.fromkeys(row[key] for row in rows)
    return {name: _labels([row for row in rows if row[key] == name]) for name in names}


def _labels(rows: Sequence[Row]) -> _Labels:
    return [row["reference"]["label"] for row in rows], [row["candidate"]["label"] for row in rows]


def alike(left: object, right: object) -> bool:
    """Return whether two figures are the same, as far as a report's digits tell."""
    if is_dataclass(left) and is_dataclass(right) and type(left) is type(right):
        return all(alike(getattr(left, f.name), getattr(right, f.name)) for f in fields(left))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(alike(left[key], right[key]) for key in left)
    if isinstance(left, tuple | list) and isinstance(right, tuple | list):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, float) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return left == right
