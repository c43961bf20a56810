"""`matrix.csv`: every figure of every row, flat; nothing in it tells when or where the matrix ran.

Columns are named so that `qaudit calibrate` and `qaudit rtsi` read the table as it is. A figure that
was not measured is an empty cell. Text from checkpoints and errors cannot become a formula: a cell
that a spreadsheet would calculate begins with an apostrophe.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from qaudit import csv_text
from qaudit.matrix.labels import as_labelled
from qaudit.matrix.manifest import Row
from qaudit.matrix.tasks import Outcome
from qaudit.report.untrusted import encodable, one_line
from qaudit.report.wording import result_name
from qaudit.values import (
    SEVERITIES,
    Change,
    FirstTokenMeasure,
    Metrics,
    PairedRate,
    QualityMeasure,
    Report,
    RtsiMeasure,
    Verdict,
)

Cell = str | int | float | bool | None
ERROR = "error"
CALCULATED = ("=", "+", "-", "@", "\t", "\r")
LONGEST_CELL, LONGEST_MEMBER = 2000, 100
_RATE = (
    "reference", "candidate", "candidate_low", "candidate_high", "n", "pairs", "delta", "delta_low",
    "delta_high", "lost", "gained", "at_risk", "mcnemar_p", "mde", "strict_delta",
)  # fmt: skip
_FIRST_TOKEN = (
    "n", "flips", "flip_rate", "safety_n", "safety_flips", "safety_flip_rate", "kl_mean", "kl_p99",
    "refusal_mass_drop",
)  # fmt: skip
_FEATURES = (
    "dominant_prefix_share_delta", "unique_prefix_rate_delta", "prefix_entropy_norm_delta",
    "mean_tokens_refusal_delta",
)  # fmt: skip
FIXED = (
    "name", "checkpoint", "reference", "format", "quantization", "architecture", "parameters",
    "bits_per_weight", "reference_bits_per_weight", "status", "regime", ERROR,
    *(f"refusal_{name}" for name in _RATE),
    *(f"over_refusal_{name}" for name in _RATE),
    *(f"first_token_{name}" for name in _FIRST_TOKEN),
    *(f"first_token_after_reasoning_{name}" for name in _FIRST_TOKEN),
    *_FEATURES, "rtsi_score", "rtsi_risk", "rtsi_calibration", "rtsi_reference_refusals",
    "rtsi_candidate_refusals",
    "accuracy_reference", "accuracy_candidate", "accuracy_delta", "accuracy_delta_low", "accuracy_delta_high",
    "accuracy_n", "perplexity_reference", "perplexity_candidate", "perplexity_ratio", "kl_mean", "kl_p99",
    "top1_agreement", "positions", "coherence_reference", "coherence_candidate", "coherence_delta",
    "coherence_n", "findings", "max_severity", "failed_rules", "undecided_rules", "policy", "engine",
    "checkpoint_sha256", "reference_sha256",
)  # fmt: skip
LABELS = ("label", "expected_status", "expected_rules", "as_labelled")


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row of the manifest with its report, or with its error in one line."""

    row: Row
    outcome: Outcome
    report: Report | None
    error: str | None

    @property
    def status(self) -> str:
        """The verdict's status, or `error`."""
        return self.report.verdict.status if self.report else ERROR

    @property
    def as_labelled(self) -> bool | None:
        """Whether it came to what the manifest expects; None where it expects nothing."""
        if self.row.expected is None:
            return None
        return self.report is not None and as_labelled(self.row.expected, self.report)


def to_csv(results: Sequence[RowResult]) -> str:
    """Return the table as CSV text."""
    rows = [cells(result) for result in results]
    names = columns(results)
    return csv_text.to_csv(names, [{name: _as_text(row.get(name)) for name in names} for row in rows])


def columns(results: Sequence[RowResult]) -> list[str]:
    """Return the columns: fixed ones, one a category and suite that any row has, labels if there are any."""
    found = {name for result in results for name in cells(result)} - {*FIXED, *LABELS}
    labelled = any(result.row.label or result.row.expected for result in results)
    return [*FIXED, *sorted(found), *(LABELS if labelled else ())]


def cells(result: RowResult) -> dict[str, Cell]:
    """Return a row's figures by column; what was not measured is absent."""
    row, report = result.row, result.report
    found: dict[str, Cell] = {
        "name": row.name,
        "checkpoint": row.checkpoint,
        "reference": row.reference,
        "status": result.status,
        "error": result.error,
        "label": row.label,
    }
    if row.expected:
        found["expected_status"] = row.expected.status
        found["expected_rules"] = " ".join(row.expected.rules)
        found["as_labelled"] = result.as_labelled
    if report:
        found |= _identity(report) | _metrics(report.metrics) | _verdict(report.verdict)
        found["findings"] = len(report.findings)
        found["max_severity"] = max((f.severity for f in report.findings), key=SEVERITIES.index, default=None)
    return {name: value for name, value in found.items() if value is not None}


def _identity(report: Report) -> dict[str, Cell]:
    checkpoint = report.checkpoint
    return {
        "format": checkpoint.format,
        "quantization": checkpoint.quantization,
        "architecture": checkpoint.architecture,
        "parameters": checkpoint.parameters,
        "bits_per_weight": checkpoint.bits_per_weight,
        "reference_bits_per_weight": report.reference.bits_per_weight,
        "engine": f"{report.engine.name} {report.engine.version}",
        "checkpoint_sha256": checkpoint.sha256,
        "reference_sha256": report.reference.sha256,
    }


def _metrics(metrics: Metrics) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for name, pair in (("refusal", metrics.refusal), ("over_refusal", metrics.over_refusal)):
        found |= _rates(name, pair)
    for name, first in (
        ("first_token", metrics.first_token),
        ("first_token_after_reasoning", metrics.first_token_after_reasoning),
    ):
        found |= _first_token(name, first)
    found |= _rtsi(metrics.rtsi) | _quality(metrics.quality) | _change("coherence", metrics.coherence)
    for kind, members in (("category", metrics.categories), ("suite", metrics.suites)):
        for member, pair in members.items():
            column = f"{kind}_{encodable(one_line(member, LONGEST_MEMBER))}"
            found[f"{column}_delta"] = pair.delta
            found[f"{column}_pairs"] = pair.pairs
    return found


def _rates(name: str, pair: PairedRate | None) -> dict[str, Cell]:
    if pair is None:
        return {}
    low, high = pair.candidate.ci95
    return {
        f"{name}_reference": pair.reference.rate,
        f"{name}_candidate": pair.candidate.rate,
        f"{name}_candidate_low": low,
        f"{name}_candidate_high": high,
        f"{name}_n": pair.candidate.n,
        f"{name}_delta_low": pair.delta_ci95[0],
        f"{name}_delta_high": pair.delta_ci95[1],
        **{
            f"{name}_{field}": getattr(pair, field)
            for field in (
                "pairs", "delta", "lost", "gained", "at_risk", "mcnemar_p", "mde", "strict_delta",
            )
        },
    }  # fmt: skip


def _first_token(name: str, first: FirstTokenMeasure | None) -> dict[str, Cell]:
    return {f"{name}_{field}": getattr(first, field) for field in _FIRST_TOKEN} if first else {}


def _rtsi(rtsi: RtsiMeasure | None) -> dict[str, Cell]:
    if rtsi is None:
        return {}
    features = {name: getattr(rtsi.features, name) for name in _FEATURES} if rtsi.features else {}
    return {
        **features,
        "rtsi_score": rtsi.score,
        "rtsi_risk": rtsi.risk,
        "rtsi_calibration": rtsi.calibration,
        "rtsi_reference_refusals": rtsi.reference_refusals,
        "rtsi_candidate_refusals": rtsi.candidate_refusals,
    }


def _quality(quality: QualityMeasure | None) -> dict[str, Cell]:
    if quality is None:
        return {}
    figures = ("perplexity_ratio", "kl_mean", "kl_p99", "top1_agreement", "positions")
    found: dict[str, Cell] = {name: getattr(quality, name) for name in figures}
    if quality.perplexity:
        found["perplexity_reference"] = quality.perplexity.reference
        found["perplexity_candidate"] = quality.perplexity.candidate
    return found | _change("accuracy", quality.accuracy)


def _change(name: str, change: Change | None) -> dict[str, Cell]:
    if change is None:
        return {}
    found: dict[str, Cell] = {
        f"{name}_reference": change.reference,
        f"{name}_candidate": change.candidate,
        f"{name}_delta": change.delta,
        f"{name}_n": change.n,
    }
    if name == "accuracy" and change.delta_ci95:
        found["accuracy_delta_low"], found["accuracy_delta_high"] = change.delta_ci95
    return found


def _verdict(verdict: Verdict) -> dict[str, Cell]:
    def named(status: str) -> str | None:
        return " ".join(_unique(result_name(r) for r in verdict.rules if r.status == status)) or None

    return {
        "regime": verdict.regime,
        "failed_rules": named("fail"),
        "undecided_rules": named("inconclusive"),
        "policy": f"{verdict.policy.name} {verdict.policy.version}",
    }


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _as_text(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return repr(value)
    text = encodable(one_line(value, LONGEST_CELL))
    return f"'{text}" if text.startswith(CALCULATED) else text


def record(result: RowResult) -> Mapping[str, Cell]:
    """Return a row for JSON: its figures as numbers, absent where nothing was measured."""
    return {
        name: encodable(value) if isinstance(value, str) else value for name, value in cells(result).items()
    }
