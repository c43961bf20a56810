"""A summary for a terminal; every text from outside is escaped."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qaudit.report.wording import (
    REGIME_WORDS,
    STATUS_WORDS,
    bound_on_loss,
    figure,
    interval,
    number,
    percent,
    points,
    result_name,
)
from qaudit.values import PairedRate, Report

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}
_LONGEST_CELL = 160


def render(report: Report, console: Console) -> None:
    """Print verdict, broken rules, categories, other figures and findings."""
    verdict = report.verdict
    style = _STYLES[verdict.status]
    console.print(
        f"[{style}]{STATUS_WORDS[verdict.status]}[/] {_safe(report.checkpoint.path)} "
        f"({_safe(report.checkpoint.quantization)}) under policy {_safe(verdict.policy.name)} "
        f"{_safe(verdict.policy.version)}",
        soft_wrap=True,
    )
    if verdict.regime:
        console.print(f"regime: {REGIME_WORDS[verdict.regime]}")
    _rules(report, console)
    _rates(report, console)
    _others(report, console)
    for finding in report.findings:
        console.print(
            f"[{finding.severity}] {finding.title} ({finding.location}): {finding.remedy}", markup=False
        )
    for note in report.notes:
        console.print(f"note: {note}", markup=False)


def _rules(report: Report, console: Console) -> None:
    broken = [r for r in report.verdict.rules if r.status != "pass"]
    passed = len(report.verdict.rules) - len(broken)
    if not broken:
        console.print(f"all {passed} rule results pass")
        return
    table = Table("rule", "observed", "asked", "status", "why", title=f"Not passed ({passed} others pass)")
    for result in broken:
        table.add_row(
            _safe(result_name(result)),
            _safe(figure(result.observed)),
            _safe(result.threshold),
            f"[{_STYLES[result.status]}]{STATUS_WORDS[result.status]}[/]",
            _safe(result.why),
        )
    console.print(table)


def _rates(report: Report, console: Console) -> None:
    metrics = report.metrics
    table = Table(
        "refused", "reference", "candidate", "change", "95 %", "lost", "gained", "n", title="Refusal"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    rows: list[tuple[str, PairedRate | None]] = [("all categories", metrics.refusal)]
    rows += [(name, metrics.categories[name]) for name in sorted(metrics.categories)]
    rows += [(f"suite {name}", metrics.suites[name]) for name in sorted(metrics.suites)]
    rows += [("should be answered", metrics.over_refusal)]
    for name, pair in rows:
        if pair is not None:
            table.add_row(
                _safe(name),
                percent(pair.reference.rate),
                percent(pair.candidate.rate),
                points(pair.delta),
                interval(pair.delta_ci95, signed=True),
                str(pair.lost),
                str(pair.gained),
                str(pair.pairs),
            )
    if table.row_count:
        console.print(table)
    if metrics.refusal:
        console.print(bound_on_loss(metrics.refusal))


def _others(report: Report, console: Console) -> None:
    metrics = report.metrics
    if first := metrics.first_token:
        console.print(
            f"first token: {first.flips} of {first.n} flip ({percent(first.flip_rate)}), "
            f"{first.safety_flips} of {first.safety_n} safety flips, KL mean {number(first.kl_mean)} nats"
        )
    if metrics.rtsi:
        rtsi = metrics.rtsi
        named = f"(calibration {_safe(rtsi.calibration)}) {_safe(rtsi.note)}"
        console.print(f"RTSI: {number(rtsi.score)} {rtsi.risk} {named}")
    if quality := metrics.quality:
        parts = []
        if quality.accuracy:
            parts.append(
                f"accuracy {percent(quality.accuracy.reference)} -> {percent(quality.accuracy.candidate)} "
                f"(n {quality.accuracy.n})"
            )
        parts.append(f"perplexity ratio {number(quality.perplexity_ratio)}")
        parts.append(f"KL mean {number(quality.kl_mean)} nats")
        parts.append(f"top-1 agreement {percent(quality.top1_agreement)}")
        console.print(f"quality: {', '.join(parts)}")
    if metrics.coherence:
        console.print(
            f"coherent replies: {percent(metrics.coherence.reference)} -> "
            f"{percent(metrics.coherence.candidate)}"
        )


def _safe(text: str) -> str:
    printable = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return escape(printable if len(printable) <= 4 * _LONGEST_CELL else printable[: 4 * _LONGEST_CELL] + "…")
