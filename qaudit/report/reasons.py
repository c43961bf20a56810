"""Plain-word reasons for a verdict, each once: what a person reads before any table.

A rule result says precisely what was compared with what; here results on one matter become one
sentence about the checkpoint. Where there is no sentence for a metric, the rule's own stands.
"""

from collections.abc import Callable, Mapping, Sequence

from qaudit.report.wording import evidence_and_reason, number, percent, points, spaced
from qaudit.values import SEVERITIES, Change, PairedRate, Report, RuleResult

MAX_NAMED = 3
_Results = Sequence[RuleResult]


def reasons(report: Report) -> list[str]:
    """Return the sentences for whatever did not pass: failures first, then what is undecided."""
    rules = report.verdict.rules
    said = []
    for group, results in _grouped([r for r in rules if r.status == "fail"]).items():
        writer = _WRITERS.get(group)
        said.append((writer(report, results) if writer else None) or _own_words(results))
    # what the policy asks for before anything else comes first
    undecided = _grouped(
        sorted((r for r in rules if r.status == "inconclusive"), key=lambda r: not _is_requirement(r))
    )
    return said + [f"Undecided: {_open_question(results)}" for results in undecided.values()]


def _grouped(results: _Results) -> dict[str, list[RuleResult]]:
    groups: dict[str, list[RuleResult]] = {}
    for result in results:
        parts = result.metric.split(".")
        group = ".".join(parts[:2]) if parts[0] == "quality" else parts[0]
        groups.setdefault(group, []).append(result)
    return groups


def _own_words(results: _Results) -> str:
    return evidence_and_reason(results[0].why)[0] + _count(results)


def _count(results: _Results) -> str:
    return f" (and {len(results) - 1} more of this kind)" if len(results) > 1 else ""


def _is_requirement(result: RuleResult) -> bool:
    return result.rule.startswith("requires-")


def _open_question(results: _Results) -> str:
    unmet = [result for result in results if _is_requirement(result)]
    # where the policy asks for more prompts, that is the reason; the rest follows from it
    return _own_words(unmet).split(" (", 1)[0] + _count(unmet) if unmet else _own_words(results)


def _refusal(report: Report, _results: _Results) -> str | None:
    pair = report.metrics.refusal
    if pair is None:
        return None
    if pair.delta >= 0:
        return f"Harmful requests refused: {_shift(pair)}; too few were asked to exclude a loss."
    return (
        f"It refuses fewer harmful requests: {_shift(pair)}. Of {pair.at_risk} that the reference "
        f"refused, {pair.lost} are no longer refused."
    )


def _categories(report: Report, results: _Results) -> str | None:
    return _members("harm category", "harm categories", report.metrics.categories, results)


def _suites(report: Report, results: _Results) -> str | None:
    return _members("prompt suite", "prompt suites", report.metrics.suites, results)


def _members(one: str, many: str, pairs: Mapping[str, PairedRate], results: _Results) -> str | None:
    # a member's name may itself hold dots, so paths are compared from their start
    paths = [f"{result.metric.partition('.')[2]}." for result in results]
    names = {name for name in pairs for path in paths if path.startswith(f"{name}.")}
    if not names:
        return None
    worst = sorted(names, key=lambda name: (pairs[name].delta, name))
    named = "; ".join(f"{spaced(name)} {_shift(pairs[name])}" for name in worst[:MAX_NAMED])
    rest = f"; and {len(worst) - MAX_NAMED} more" if len(worst) > MAX_NAMED else ""
    count = f"1 {one}" if len(names) == 1 else f"{len(names)} {many}"
    return f"Too much is lost in {count} of {len(pairs)}: {named}{rest}."


def _over_refusal(report: Report, _results: _Results) -> str | None:
    pair = report.metrics.over_refusal
    return f"It refuses more harmless requests, which it should answer: {_shift(pair)}." if pair else None


def _first_token(report: Report, results: _Results) -> str | None:
    after = results[0].metric.startswith("first_token_after_reasoning")
    first = report.metrics.first_token_after_reasoning if after else report.metrics.first_token
    if first is None or not first.safety_n:
        return None
    return (
        f"{first.safety_flips} of {first.safety_n} replies that the reference opens as a refusal now open "
        f"with something else{' after reasoning' if after else ''}."
    )


def _rtsi(report: Report, _results: _Results) -> str | None:
    rtsi = report.metrics.rtsi
    if rtsi is None:
        return None
    if not rtsi.candidate_refusals:
        return f"It refused nothing, where the reference refused {rtsi.reference_refusals} times."
    return (
        f"Its refusals are worded differently from the reference's (RTSI {number(rtsi.score, 2)}, "
        f"{rtsi.risk}), which tends to come before they are lost."
    )


def _regime(report: Report, _results: _Results) -> str | None:
    quality, regime = report.metrics.quality, report.verdict.regime
    accuracy = quality.accuracy if quality else None
    if accuracy is None or regime not in ("hidden_danger", "near_hidden_danger"):
        return None
    name = "Hidden danger" if regime == "hidden_danger" else "Near to a hidden danger"
    return (
        f"{name}: ordinary benchmarks would not show this, as accuracy went {_change(accuracy)} while "
        f"refusals fell by more than 10 points."
    )


def _accuracy(report: Report, _results: _Results) -> str | None:
    accuracy = report.metrics.quality.accuracy if report.metrics.quality else None
    return f"It answers fewer questions rightly: {_change(accuracy)}." if accuracy else None


def _perplexity(report: Report, _results: _Results) -> str | None:
    ratio = report.metrics.quality.perplexity_ratio if report.metrics.quality else None
    return f"Neutral text surprises it {number(ratio, 3)} times as much as the reference." if ratio else None


def _coherence(report: Report, _results: _Results) -> str | None:
    change = report.metrics.coherence
    return f"More of its replies are garbled or empty: coherent are {_change(change)}." if change else None


def _findings(report: Report, _results: _Results) -> str | None:
    if not report.findings:
        return None
    worst = max(report.findings, key=lambda finding: SEVERITIES.index(finding.severity))
    same = sum(1 for finding in report.findings if finding.severity == worst.severity)
    more = f" and {same - 1} more of that severity" if same > 1 else ""
    return f"A finding of {worst.severity} severity: {worst.title} ({worst.location}){more}."


def _shift(pair: PairedRate) -> str:
    return f"{percent(pair.reference.rate)} → {percent(pair.candidate.rate)} ({points(pair.delta)} points)"


def _change(change: Change) -> str:
    return f"{percent(change.reference)} → {percent(change.candidate)} ({points(change.delta)} points)"


_WRITERS: Mapping[str, Callable[[Report, _Results], str | None]] = {
    "refusal": _refusal,
    "categories": _categories,
    "suites": _suites,
    "over_refusal": _over_refusal,
    "first_token": _first_token,
    "first_token_after_reasoning": _first_token,
    "rtsi": _rtsi,
    "regime": _regime,
    "quality.accuracy": _accuracy,
    "quality.perplexity_ratio": _perplexity,
    "coherence": _coherence,
    "findings": _findings,
}
