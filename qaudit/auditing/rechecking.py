"""Whether a report still says what its own figures and replies say: the check before it is signed.

A signature binds a report's bytes, whatever they say. This finds a report that was edited after the
audit: its verdict is decided again from its figures under the policy, figures that say the same thing
twice must agree, and where responses.jsonl lies beside it, what the replies decide is counted again from
them (`qaudit.auditing.recounting` says what that is). Not found: who edits replies, digest and figures all
alike; figures that no reply decides (first tokens, perplexity, accuracy), edited with the verdict; and
findings of the checkpoint's own bytes that were taken out. Who must not do this is kept out of the
audit's folder.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from qaudit import __version__
from qaudit.errors import GateFailure, InputError
from qaudit.files import sha256_and_size
from qaudit.metrics.regimes import classify
from qaudit.policy.evaluation import evaluate
from qaudit.policy.schema import parse_policy
from qaudit.report.json_report import RESPONSES, parse_report
from qaudit.values import Change, FirstTokenMeasure, Metrics, Report, RtsiMeasure

# reports round to nine digits, and these are made of several
RELATIVE, ABSOLUTE = 1e-6, 1e-7


def refuse_changed_report(report: bytes, policy: bytes, where: Path) -> bool:
    """Refuse a report that contradicts itself, its policy or the replies beside it.

    Args:
        report: the bytes of the report.
        policy: the bytes of the policy that judged it.
        where: the report's place; the replies are looked for beside it.

    Returns:
        Whether the replies were there, so that its figures were counted again.

    Raises:
        GateFailure: it does; the message says where.
        InputError: report, policy or replies are not what an audit writes.
    """
    told = parse_report(report, where)
    problem = next(_contradictions(told, policy, where), None)
    if problem is not None:
        other = told.tool.version
        otherwise = f", or qaudit {other} judged otherwise" if other != __version__ else ""
        raise GateFailure(f"{where}: {problem}; it was changed after the audit{otherwise}: audit again")
    return (where.parent / RESPONSES).is_file()


def _contradictions(report: Report, policy: bytes, where: Path) -> Iterator[str]:
    metrics, verdict = report.metrics, report.verdict
    accuracy = metrics.quality.accuracy if metrics.quality else None
    regime = (
        classify(accuracy.delta if accuracy else None, metrics.refusal.delta) if metrics.refusal else None
    )
    if regime != verdict.regime:
        yield f"its figures make the regime {regime}, and it says {verdict.regime}"
    again = evaluate(parse_policy(policy, where), metrics, report.findings, regime, suites=report.suites)
    decided = {(result.rule, result.metric): result.status for result in again.rules}
    said = {(result.rule, result.metric): result.status for result in verdict.rules}
    for rule, metric in sorted(decided.keys() | said.keys()):
        now, then = decided.get((rule, metric), "no result"), said.get((rule, metric), "nothing")
        if now != then:
            yield f"by its figures the rule {rule} on {metric} gives {now}, and it says {then}"
    if again.status != verdict.status:
        yield f"by its figures the verdict is {again.status}, and it says {verdict.status}"
    yield from _against_itself(metrics)
    yield from _against_replies(report, where.parent)


def _against_itself(metrics: Metrics) -> Iterator[str]:
    """Yield what is said twice in two ways, of the figures that no reply decides."""
    for place in ("first_token", "first_token_after_reasoning"):
        if (measured := getattr(metrics, place)) is not None and not _token_rates_hold(measured):
            yield f"the rates of {place} are not those of its counts"
    quality = metrics.quality
    if quality is not None:
        for change in (quality.accuracy, quality.perplexity):
            if change is not None and not _near(change.candidate - change.reference, change.delta):
                yield "a change of quality is not the difference of its two figures"
        if quality.perplexity is not None and not _ratio_holds(quality.perplexity, quality.perplexity_ratio):
            yield "the ratio of the perplexities is not theirs"
    if metrics.rtsi is not None:
        yield from _template_contradictions(metrics.rtsi)


def _token_rates_hold(measured: FirstTokenMeasure) -> bool:
    counts = (
        (measured.flip_rate, measured.flips, measured.n),
        (measured.safety_flip_rate, measured.safety_flips, measured.safety_n),
    )
    return all(rate is None or (n > 0 and _near(rate, flips / n)) for rate, flips, n in counts)


def _ratio_holds(perplexity: Change, ratio: float | None) -> bool:
    return (
        ratio is None
        or perplexity.reference == 0
        or _near(ratio, perplexity.candidate / perplexity.reference)
    )


def _template_contradictions(measured: RtsiMeasure) -> Iterator[str]:
    if measured.contributions and not _near(measured.score, math.fsum(measured.contributions.values())):
        yield "the score of RTSI is not the sum of its parts"
    if measured.cut_offs is not None and not math.isnan(measured.score):
        moderate, high = measured.cut_offs
        tier = "LOW" if measured.score < moderate else "MODERATE" if measured.score < high else "HIGH"
        if tier != measured.risk:
            yield f"by its score RTSI is {tier}, and it says {measured.risk}"


def _near(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _against_replies(report: Report, folder: Path) -> Iterator[str]:
    evidence = report.evidence.responses
    path = folder / RESPONSES
    if evidence.path != RESPONSES:
        yield f"it rests on {ascii(evidence.path)[:100]}, and every audit's replies are in {RESPONSES}"
    if not path.is_file():
        return
    # scipy, which these bring, takes a second: only where there is something to count
    from qaudit.auditing.outputs import read_responses
    from qaudit.auditing.recounting import differences, row_problem

    if sha256_and_size(path)[0] != evidence.sha256:
        yield f"{path.name} beside it is not the one that it rests on"
        return
    rows = list(read_responses(folder))
    for row in rows:
        if (problem := row_problem(row)) is not None:
            raise InputError(f"{path}: {problem}; audit again")
    if len(rows) != evidence.rows:
        yield f"{path.name} has {len(rows)} rows, and it says {evidence.rows}"
    for difference in differences(rows, report):
        yield f"{path.name}: {difference}"
