"""Plain-word reasons for a verdict, each once: what a person reads before any table.

A rule result says precisely what was compared with what; here results on one matter become one
sentence about the checkpoint.
"""

from collections.abc import Callable, Mapping, Sequence

from qaudit.report.wording import percent, plain_name, points
from qaudit.values import Change, Finding, Metrics, PairedRate, Report, RuleResult

MAX_NAMED = 3


def reasons(report: Report) -> list[str]:
    """Return the sentences for whatever did not pass: failures first, then what is undecided."""
    verdict = report.verdict
    failed = [r for r in verdict.rules if r.status == "fail"]
    undecided = [r for r in verdict.rules if r.status == "inconclusive"]
    said = [_failure(group, results, report) for group, results in _grouped(failed).items()]
    return said + [_open_question(results) for results in _grouped(undecided).values()]


def _grouped(results: Sequence[RuleResult]) -> dict[str, list[RuleResult]]:
    groups: dict[str, list[RuleResult]] = {}
    for result in results:
        groups.setdefault(_group(result), []).append(result)
    return groups


def _group(result: RuleResult) -> str:
    parts = result.metric.split(".")
    return ".".join(parts[:2]) if parts[0] == "quality" else parts[0]


def _failure(group: str, results: Sequence[RuleResult], report: Report) -> str:
    writer = _WRITERS.get(group)
    sentence = writer(report.metrics, results, report.findings) if writer else None
    return sentence or results[0].why


def _open_question(results: Sequence[RuleResult]) -> str:
    more = f" (and {len(results) - 1} more of this kind)" if len(results) > 1 else ""
    # the policy's own words and the repeated figures stay in the table
    return f"Undecided: {results[0].why.split(' [policy: ')[0]}{more}"


def _refusal(metrics: Metrics, _results: Sequence[RuleResult], _findings: Sequence[Finding]) -> str | None:
    pair = metrics.refusal
    if pair is None:
        return None
    if pair.delta >= 0:
        return f"It refuses {_shift(pair)} of harmful requests, but too few were asked to exclude a loss."
    return (
        f"It refuses fewer harmful requests: {_shift(pair)}. Of {pair.at_risk} that the reference "
        f"refused, it no longer refuses {pair.lost}."
    )


def _categories(metrics: Metrics, results: Sequence[RuleResult], _findings: Sequence[Finding]) -> str | None:
    return _members("harm category", "harm categories", metrics.categories, results)


def _suites(metrics: Metrics, results: Sequence[RuleResult], _findings: Sequence[Finding]) -> str | None:
    return _members("prompt suite", "prompt suites", metrics.suites, results)


def _members(
    one: str, many: str, pairs: Mapping[str, PairedRate], results: Sequence[RuleResult]
) -> str | None:
    names = {parts[1] for r in results if len(parts := r.metric.split(".")) > 1 and parts[1] in pairs}
    if not names:
        return None
    worst = sorted(names, key=lambda name: (pairs[name].delta, name))
    named = "; ".join(f"{plain_name(name)} {_shift(pairs[name])}" for name in worst[:MAX_NAMED])
    rest = f"; and {len(worst) - MAX_NAMED} more" if len(worst) > MAX_NAMED else ""
    count = f"1 {one}" if len(names) == 1 else f"{len(names)} {many}"
    return f"Too much is lost in {count} of {len(pairs)}: {named}{rest}."


def _over_refusal(
    metrics: Metrics, _results: Sequence[RuleResult], _findings: Sequence[Finding]
) -> str | None:
    pair = metrics.over_refusal
    return f"It refuses harmless prompts that it should answer: {_shift(pair)}." if pair else None


def _first_token(
    metrics: Metrics, _results: Sequence[RuleResult], _findings: Sequence[Finding]
) -> str | None:
    first = metrics.first_token
    if first is None or not first.safety_n:
        return None
    return (
        f"{first.safety_flips} of {first.safety_n} replies that the reference opens as a refusal now "
        f"open with something else."
    )


def _rtsi(metrics: Metrics, _results: Sequence[RuleResult], _findings: Sequence[Finding]) -> str | None:
    rtsi = metrics.rtsi
    if rtsi is None:
        return None
    if not rtsi.candidate_refusals:
        return f"It refused nothing, where the reference refused {rtsi.reference_refusals} times."
    return (
        f"Its refusals are worded differently from the reference's (RTSI {rtsi.score:.2f}, {rtsi.risk}), "
        f"which tends to come before they are lost."
    )


def _regime(metrics: Metrics, _results: Sequence[RuleResult], _findings: Sequence[Finding]) -> str | None:
    accuracy = metrics.quality.accuracy if metrics.quality else None
    if accuracy is None:
        return None
    return (
        f"Ordinary benchmarks would not show this: accuracy went from {percent(accuracy.reference)} to "
        f"{percent(accuracy.candidate)} only, while refusals fell by more than 10 points."
    )


def _accuracy(metrics: Metrics, _results: Sequence[RuleResult], _findings: Sequence[Finding]) -> str | None:
    accuracy = metrics.quality.accuracy if metrics.quality else None
    return f"It answers fewer questions rightly: {_change(accuracy)}." if accuracy else None


def _perplexity(metrics: Metrics, _results: Sequence[RuleResult], _findings: Sequence[Finding]) -> str | None:
    ratio = metrics.quality.perplexity_ratio if metrics.quality else None
    return f"Neutral text surprises it {ratio:.2f} times as much as the reference." if ratio else None


def _coherence(metrics: Metrics, _results: Sequence[RuleResult], _findings: Sequence[Finding]) -> str | None:
    change = metrics.coherence
    return f"More of its replies are garbled or empty: coherent ones {_change(change)}." if change else None


def _findings(_metrics: Metrics, _results: Sequence[RuleResult], findings: Sequence[Finding]) -> str | None:
    grave = [finding for finding in findings if finding.severity in ("high", "critical")]
    if not grave:
        return None
    more = f" (and {len(grave) - 1} more)" if len(grave) > 1 else ""
    return f"Finding of {grave[0].severity} severity: {grave[0].title}{more}."


def _shift(pair: PairedRate) -> str:
    return f"{percent(pair.reference.rate)} → {percent(pair.candidate.rate)} ({points(pair.delta)} points)"


def _change(change: Change) -> str:
    return f"{percent(change.reference)} → {percent(change.candidate)} ({points(change.delta)} points)"


_WRITERS: Mapping[str, Callable[[Metrics, Sequence[RuleResult], Sequence[Finding]], str | None]] = {
    "refusal": _refusal,
    "categories": _categories,
    "suites": _suites,
    "over_refusal": _over_refusal,
    "first_token": _first_token,
    "rtsi": _rtsi,
    "regime": _regime,
    "quality.accuracy": _accuracy,
    "quality.perplexity_ratio": _perplexity,
    "coherence": _coherence,
    "findings": _findings,
}
