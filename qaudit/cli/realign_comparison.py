"""The four-way table of a realignment: reference, failing checkpoint, plain quantization, realigned.

All three audits ask the same reference the same prompts, so that its column is one and the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from qaudit.auditing.outputs import read_responses
from qaudit.errors import InputError
from qaudit.metrics.rates import rate
from qaudit.report.wording import number, percent, points, spaced
from qaudit.values import PairedRate, Report

Column = Literal["reference", "failing", "plain", "realigned"]
COLUMNS: tuple[Column, ...] = ("reference", "failing", "plain", "realigned")
REALIGNED: Column = "realigned"
MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Audited:
    """One checkpoint of the table.

    Attributes:
        report: of its audit.
        folder: of the audit, with its responses; None where only the report is at hand.
        size_bytes: of its files.
        seconds: that it took to make; None where it was given.
    """

    report: Report
    folder: Path | None
    size_bytes: int
    seconds: float | None = None


def compared(audits: Mapping[Column, Audited]) -> dict[str, Any]:
    """Return the table as values for `realign.json`.

    Raises:
        InputError: the audits are not of one reference and the same suites, or a file of responses is
            not what its report says.
    """
    _require_same_questions(audits)
    some = audits.get(REALIGNED) or next(iter(audits.values()))
    columns: dict[str, Any] = {"reference": _reference(some)}
    for column in COLUMNS[1:]:
        if column in audits:
            columns[column] = _candidate(audits[column])
    told: dict[str, Any] = {"suites": [s.name for s in some.report.suites], "columns": columns}
    perplexities = [columns.get(name, {}).get("perplexity") for name in (REALIGNED, "plain")]
    if all(perplexities):
        told["perplexity_over_plain"] = perplexities[0] / perplexities[1]
    return told


def show_comparison(comparison: Mapping[str, Any], console: Console) -> None:
    """Print the table."""
    columns = comparison["columns"]
    present = [column for column in COLUMNS if column in columns]
    table = Table("", *(_head(column, columns[column]) for column in present))
    for name, cells in _rows(columns, present):
        table.add_row(name, *cells)
    console.print(table)
    for name, found in columns.get(REALIGNED, {}).get("deltas", {}).items():
        console.print(
            f"realigned less reference, {_named(name)}: {_shown(found)}", markup=False, soft_wrap=True
        )
    if "perplexity_over_plain" in comparison:
        console.print(f"perplexity, realigned over plain: {comparison['perplexity_over_plain']:.3f}")


def _require_same_questions(audits: Mapping[Column, Audited]) -> None:
    known = {
        (a.report.reference.sha256, tuple((s.name, s.sha256, s.items) for s in a.report.suites))
        for a in audits.values()
    }
    if len(known) > 1:
        raise InputError(
            "the audits to compare are of different references or suites; leave --report out, so that "
            "all are audited alike"
        )


def _reference(audited: Audited) -> dict[str, Any]:
    report = audited.report
    return {
        "quantization": report.reference.quantization,
        **_figures(report, "reference"),
        "by_suite": _by_suite(audited, "reference"),
        "size_bytes": sum(file.size for file in report.reference.files),
    }


def _candidate(audited: Audited) -> dict[str, Any]:
    report = audited.report
    told = {
        "path": report.checkpoint.path,
        "quantization": report.checkpoint.quantization,
        "verdict": report.verdict.status,
        **_figures(report, "candidate"),
        "by_suite": _by_suite(audited, "candidate"),
        "size_bytes": audited.size_bytes,
        "deltas": _deltas(report),
    }
    if audited.seconds is not None:
        told["seconds"] = round(audited.seconds, 1)
    return told


def _figures(report: Report, arm: Literal["reference", "candidate"]) -> dict[str, Any]:
    """Return what was measured of one arm; what was not is not there."""
    metrics = report.metrics
    found: dict[str, Any] = {}
    if metrics.refusal:
        found["refusal"] = getattr(metrics.refusal, arm).rate
    if metrics.over_refusal:
        found["over_refusal"] = getattr(metrics.over_refusal, arm).rate
    if metrics.quality and metrics.quality.accuracy:
        found["accuracy"] = getattr(metrics.quality.accuracy, arm)
    if metrics.quality and metrics.quality.perplexity:
        found["perplexity"] = getattr(metrics.quality.perplexity, arm)
    if metrics.coherence:
        found["coherence"] = getattr(metrics.coherence, arm)
    found["categories"] = {name: getattr(p, arm).rate for name, p in metrics.categories.items()}
    found["suites"] = {name: getattr(p, arm).rate for name, p in metrics.suites.items()}
    return found


def _deltas(report: Report) -> dict[str, Any]:
    metrics = report.metrics
    pairs: dict[str, PairedRate | None] = {
        "refusal": metrics.refusal,
        "over_refusal": metrics.over_refusal,
        **{f"suites.{name}": pair for name, pair in metrics.suites.items()},
    }
    found: dict[str, Any] = {
        name: {"delta": pair.delta, "ci95": list(pair.delta_ci95), "n": pair.pairs}
        for name, pair in pairs.items()
        if pair
    }
    if metrics.quality and metrics.quality.accuracy and metrics.quality.accuracy.delta_ci95:
        accuracy = metrics.quality.accuracy
        found["accuracy"] = {
            "delta": accuracy.delta,
            "ci95": list(accuracy.delta_ci95 or ()),
            "n": accuracy.n,
        }
    return found


def _by_suite(audited: Audited, arm: Literal["reference", "candidate"]) -> dict[str, dict[str, float]]:
    """Return refusal rates by suite and category, from the responses; seen, unseen and adaptive apart."""
    labels: dict[str, dict[str, list[Any]]] = {}
    for row in read_responses(audited.folder) if audited.folder else ():
        if row["expectation"] == "refuse":
            in_suite = labels.setdefault(row["suite"], {})
            in_suite.setdefault(row["category"], []).append(row[arm]["label"])
    return {
        suite: {
            name: measured.rate for name, found in sorted(categories.items()) if (measured := rate(found))
        }
        for suite, categories in sorted(labels.items())
    }


def _rows(
    columns: Mapping[str, Mapping[str, Any]], present: Sequence[Column]
) -> Iterator[tuple[str, list[str]]]:
    yield "verdict", [columns[c].get("verdict", "–") for c in present]
    yield "refused", [percent(columns[c].get("refusal")) for c in present]
    # a suite in which no pair is decided has no rate of its own
    for suite in dict.fromkeys((*_names(columns, present, "suites"), *_names(columns, present, "by_suite"))):
        yield f"  {suite}", [percent(columns[c]["suites"].get(suite)) for c in present]
        for category in _categories(columns, present, suite):
            cells = [percent(columns[c]["by_suite"].get(suite, {}).get(category)) for c in present]
            yield f"    {spaced(category)}", cells
    if not any(columns[c]["by_suite"] for c in present):
        for category in _names(columns, present, "categories"):
            cells = [percent(columns[c]["categories"].get(category)) for c in present]
            yield f"  {spaced(category)}", cells
    yield "over-refused", [percent(columns[c].get("over_refusal")) for c in present]
    yield "accuracy", [percent(columns[c].get("accuracy")) for c in present]
    yield "perplexity", [number(columns[c].get("perplexity")) for c in present]
    yield "coherent replies", [percent(columns[c].get("coherence")) for c in present]
    yield "size, MB", [f"{columns[c]['size_bytes'] / MEGABYTE:.2f}" for c in present]
    yield "made in, s", [number(columns[c].get("seconds"), 3) for c in present]


def _names(columns: Mapping[str, Mapping[str, Any]], present: Sequence[Column], kind: str) -> list[str]:
    return list(dict.fromkeys(name for column in present for name in columns[column][kind]))


def _categories(columns: Mapping[str, Mapping[str, Any]], present: Sequence[Column], suite: str) -> list[str]:
    return list(dict.fromkeys(name for c in present for name in columns[c]["by_suite"].get(suite, {})))


def _head(column: Column, figures: Mapping[str, Any]) -> str:
    return f"{column}\n{figures['quantization']}"


def _named(delta: str) -> str:
    return spaced(delta.removeprefix("suites."))


def _shown(delta: Mapping[str, Any]) -> str:
    low, high = (points(end) for end in delta["ci95"])
    return f"{points(delta['delta'])} points (95 %: {low} to {high}, {delta['n']} prompts)"
