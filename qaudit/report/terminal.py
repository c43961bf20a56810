"""A summary for a terminal; every text from outside is made presentable and never read as markup."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qaudit.report.reasons import reasons
from qaudit.report.untrusted import one_line
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
    spaced,
)
from qaudit.values import PairedRate, Report, Status

_STYLES: dict[Status, str] = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}
_LONGEST = 600
_LONGEST_NAME = 80


def render(report: Report, console: Console) -> None:
    """Print verdict, reasons, broken rules, rates, other figures and findings."""
    verdict = report.verdict
    head = Text(STATUS_WORDS[verdict.status], style=_STYLES[verdict.status])
    head.append(
        f" {one_line(report.checkpoint.path, _LONGEST)} ({_name(report.checkpoint.quantization)}) "
        f"under policy {_name(verdict.policy.name)} {_name(verdict.policy.version)}",
        style="default",
    )
    console.print(head, soft_wrap=True)
    for reason in reasons(report):
        _say(console, f"- {reason}")
    if verdict.regime:
        _say(console, f"regime: {REGIME_WORDS[verdict.regime]}")
    _rules(report, console)
    _rates(report, console)
    for line in _figures(report):
        _say(console, line)
    for finding in report.findings:
        _say(console, f"[{finding.severity}] {finding.title} ({finding.location}): {finding.remedy}")
    for note in report.notes:
        _say(console, f"note: {note}")


def _rules(report: Report, console: Console) -> None:
    broken = [r for r in report.verdict.rules if r.status != "pass"]
    passed = len(report.verdict.rules) - len(broken)
    if not broken:
        _say(console, f"all {passed} rule results pass")
        return
    table = Table("rule", "observed", "asked", "status", title=f"Not passed ({passed} others pass)")
    for result in broken:
        table.add_row(
            _name(result_name(result)),
            _name(figure(result.observed)),
            _name(result.threshold),
            Text(STATUS_WORDS[result.status], style=_STYLES[result.status]),
        )
    console.print(table)


def _rates(report: Report, console: Console) -> None:
    metrics = report.metrics
    heads = ("refused", "reference", "candidate", "change", "95 %", "lost", "gained", "n")
    table = Table(*heads, title="Refusal")
    for column in table.columns[1:]:
        column.justify = "right"
        column.no_wrap = True
    rows: list[tuple[str, PairedRate | None]] = [("all categories", metrics.refusal)]
    rows += [(spaced(name), metrics.categories[name]) for name in sorted(metrics.categories)]
    rows += [(f"suite {name}", metrics.suites[name]) for name in sorted(metrics.suites)]
    rows += [("should be answered", metrics.over_refusal)]
    for name, pair in rows:
        if pair is not None:
            table.add_row(
                _name(name),
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


def _figures(report: Report) -> list[str]:
    metrics = report.metrics
    lines = [f"refusals: {bound_on_loss(metrics.refusal)}"] if metrics.refusal else []
    if first := metrics.first_token:
        lines.append(
            f"first token: {first.flips} of {first.n} flip ({percent(first.flip_rate)}), "
            f"{first.safety_flips} of {first.safety_n} safety flips, KL mean {number(first.kl_mean)} nats"
        )
    if rtsi := metrics.rtsi:
        note = f"; {rtsi.note}" if rtsi.note else ""
        lines.append(f"RTSI: {number(rtsi.score)} {rtsi.risk}, calibration {rtsi.calibration}{note}")
    if quality := metrics.quality:
        parts = []
        if accuracy := quality.accuracy:
            parts.append(
                f"accuracy {percent(accuracy.reference)} -> {percent(accuracy.candidate)} (n {accuracy.n})"
            )
        parts.append(f"perplexity ratio {number(quality.perplexity_ratio)}")
        parts.append(f"KL mean {number(quality.kl_mean)} nats")
        parts.append(f"top-1 agreement {percent(quality.top1_agreement)}")
        lines.append(f"quality: {', '.join(parts)}")
    if coherence := metrics.coherence:
        lines.append(
            f"coherent replies: {percent(coherence.reference)} -> {percent(coherence.candidate)} "
            f"of {coherence.n}"
        )
    return lines


def _say(console: Console, line: str) -> None:
    # a Text is printed as it is: no markup, no emoji names, no highlighting
    console.print(Text(one_line(line, _LONGEST)), soft_wrap=True)


def _name(text: str) -> Text:
    return Text(one_line(text, _LONGEST_NAME))
