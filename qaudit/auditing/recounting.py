"""The figures of a report counted again from the replies in responses.jsonl.

The rows hold every reply with its label, its length and how it ended, so that they decide refusals,
categories, suites, over-refusals, coherence, RTSI, what was left unmeasured and which crashes were found.
They hold no probabilities: first tokens, perplexity and accuracy cannot be counted from them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from qaudit.auditing.events import ARMS, Arm
from qaudit.metrics import paired, rtsi
from qaudit.values import REFUSED, Label, Metrics, Report, RtsiMeasure, Settings

Row = dict[str, Any]
_Labels = tuple[list[Label], list[Label]]
# reports round to nine digits
RELATIVE, ABSOLUTE = 1e-8, 1e-9
# how a reply ended, and the finding that an audit makes of it
_ENDINGS = {"crashed": "engine-crash", "too_long": "prompt-too-long"}


def row_problem(row: Row) -> str | None:
    """Return what is wrong with a row, None for one as this qaudit writes it."""
    texts = [row["suite"], row["category"], row["expectation"], *(row[arm]["label"] for arm in ARMS)]
    if "derived_from" not in row or any(not row[arm].keys() >= {"text", "tokens", "finish"} for arm in ARMS):
        return "was written by an older qaudit and does not hold all that is counted again"
    texts += [row[arm][key] for arm in ARMS for key in ("text", "finish")]
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(type(row[arm]["tokens"]) is int for arm in ARMS)
        or not isinstance(row["derived_from"], str | None)
    ):
        return "is not what an audit writes"
    return None


def differences(rows: Sequence[Row], report: Report) -> Iterator[str]:
    """Yield each thing that the rows decide and the report says otherwise, in words for a person."""
    asked = {suite.name: suite.items for suite in report.suites}
    for name in dict.fromkeys(row["suite"] for row in rows):
        count = sum(row["suite"] == name for row in rows)
        if count != asked.get(name):
            yield f"there are {count} replies to the suite {name}, and it says {asked.get(name, 'none')}"
    for what, counted, told in _recounted(rows, report.metrics, report.settings):
        if not alike(counted, told):
            yield f"the replies give other figures for {what}"
    found = {finding.id for finding in report.findings}
    for ending, finding in _ENDINGS.items():
        for arm in ARMS:
            if any(row[arm]["finish"] == ending for row in rows) and f"{finding}-{arm}" not in found:
                yield f"the replies make the finding {finding}-{arm}, and it is not there"


def _recounted(
    rows: Sequence[Row], metrics: Metrics, settings: Settings | None
) -> Iterator[tuple[str, object, object]]:
    """Yield each figure: its name, as counted again, and as the report has it."""
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
    yield "RTSI", *_templates(pooled, metrics.rtsi, settings)
    for place in ("first_token", "first_token_after_reasoning"):
        measured = getattr(metrics, place)
        if measured is not None:
            yield f"{place}, of more prompts than were asked", True, measured.n <= len(refuse)


def _templates(
    pooled: Sequence[Row], told: RtsiMeasure | None, settings: Settings | None
) -> tuple[RtsiMeasure | None, RtsiMeasure | None]:
    """Return RTSI as counted again, and as told.

    The weights of a calibration of one's own are not in a report: under one, score, tier and cut-offs are
    taken as told, and only the features are counted.
    """
    again = rtsi.measure(_refusals(pooled, "reference"), _refusals(pooled, "candidate"))
    if again is None or told is None or settings is None or settings.calibration_sha256 is None:
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
