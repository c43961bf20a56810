"""Whether a report still says what its own figures and replies say: the check before it is signed.

A signature binds a report's bytes, whatever they say. This finds a report that was edited after the
audit: its verdict is decided again from its figures under the policy, figures and digests that say the same
thing twice must agree, shipped suites must be the shipped ones, and where responses.jsonl lies beside it, the
replies are judged again and what they decide is counted again (`qaudit.auditing.recounting` says what that
is). Not found: who makes up other replies with all that follows from them; figures that no reply decides
(first tokens, perplexity, accuracy), edited with the verdict; findings of the checkpoint's own bytes that
were taken out; and what an audit only notes (when, by which engine). Who must not do this is kept out of the
audit's folder.
"""

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from qaudit import __version__
from qaudit.auditing.asked_suites import misnamed_suites, unasked_prompts
from qaudit.checkpoints.digests import combined_digest
from qaudit.errors import GateFailure, InputError
from qaudit.files import sha256_and_size, sha256_file
from qaudit.metrics.regimes import classify
from qaudit.policy.evaluation import evaluate
from qaudit.policy.schema import parse_policy
from qaudit.report.json_report import RESPONSES, parse_report
from qaudit.values import Change, FirstTokenMeasure, Metrics, Report, RtsiMeasure

# reports round to nine digits, and these are made of several
RELATIVE, ABSOLUTE = 1e-6, 1e-7


def refuse_changed_report(
    report: bytes, policy: bytes, where: Path, calibration: Path | None = None
) -> str | None:
    """Refuse a report that contradicts itself, its policy or the replies beside it.

    Args:
        report: the bytes of the report.
        policy: the bytes of the policy that judged it.
        where: the report's place; the replies are looked for beside it.
        calibration: the RTSI calibration of its audit, where that had one of its own.

    Returns:
        Why not all that replies decide was counted again; None where it was.

    Raises:
        GateFailure: it does; the message says where.
        InputError: report, policy, replies or calibration are not what an audit writes or had.
    """
    told = parse_report(report, where)
    own = told.settings.calibration_sha256 if told.settings else None
    if calibration is not None and own is None:
        raise InputError(f"{where}: was scored with the published RTSI calibration; drop --calibration")
    if calibration is not None and sha256_file(calibration) != own:
        raise InputError(f"{calibration}: not the RTSI calibration that {where} was made with; name that one")
    problem = next(_contradictions(told, policy, where, calibration), None)
    if problem is not None:
        other = told.tool.version
        otherwise = f", or qaudit {other} judged otherwise" if other != __version__ else ""
        raise GateFailure(f"{where}: {problem}; it was changed after the audit{otherwise}: audit again")
    if not (where.parent / RESPONSES).is_file():
        return (
            f"{RESPONSES} is not beside the report, so its figures were not counted again; sign in the folder"
            " that the audit left"
        )
    if own is not None and calibration is None:
        return (
            "RTSI was scored with a calibration of its own, so the score was not counted again; name the file"
            " with --calibration"
        )
    return _why_not_judged_again(told)


def _why_not_judged_again(told: Report) -> str | None:
    from qaudit.judges.judging import load_judge

    if told.judge.sha256 == load_judge().sha256:
        return None
    return (
        f"another judge than this qaudit's labelled the replies ({told.judge.name} {told.judge.version}), so"
        " they were counted but not judged again; sign with the qaudit that audited"
    )


def _contradictions(report: Report, policy: bytes, where: Path, calibration: Path | None) -> Iterator[str]:
    for name in ("checkpoint", "reference"):
        part = getattr(report, name)
        if combined_digest(part.files) != part.sha256:
            yield f"the digest of its {name} is not that of its files"
    yield from misnamed_suites(report)
    metrics, verdict = report.metrics, report.verdict
    accuracy = metrics.quality.accuracy if metrics.quality else None
    regime = (
        classify(accuracy.delta if accuracy else None, metrics.refusal.delta) if metrics.refusal else None
    )
    if regime != verdict.regime:
        yield f"its figures make the regime {regime}, and it says {verdict.regime}"
    again = evaluate(parse_policy(policy, where), metrics, report.findings, regime, suites=report.suites)
    decided = {(result.rule, result.metric): result for result in again.rules}
    said = {(result.rule, result.metric): result for result in verdict.rules}
    for rule, metric in sorted(decided.keys() | said.keys()):
        now, then = decided.get((rule, metric)), said.get((rule, metric))
        gives, says = now.status if now else "no result", then.status if then else "nothing"
        if gives != says:
            yield f"by its figures the rule {rule} on {metric} gives {gives}, and it says {says}"
        elif now and then and (now.threshold != then.threshold or not _same(now.observed, then.observed)):
            yield f"the rule {rule} on {metric} saw or asks for something else than it says"
    if len(verdict.rules) != len(said):
        yield "it gives the outcome of a rule twice"
    if again.status != verdict.status:
        yield f"by its figures the verdict is {again.status}, and it says {verdict.status}"
    yield from _against_itself(metrics)
    yield from _against_replies(report, where.parent, calibration)


def _same(left: float | str | None, right: float | str | None) -> bool:
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    return _near(float(left), float(right)) if numbers else left == right  # type: ignore[arg-type]


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


def _against_replies(report: Report, folder: Path, calibration: Path | None) -> Iterator[str]:
    evidence = report.evidence.responses
    path = folder / RESPONSES
    if evidence.path != RESPONSES:
        yield f"it rests on {ascii(evidence.path)[:100]}, and every audit's replies are in {RESPONSES}"
    if not path.is_file():
        return
    # scipy and the judge's patterns take a second: only where there is something to count
    from qaudit.auditing.outputs import read_responses
    from qaudit.auditing.recounting import differences, impossible_intervals, other_labels, row_problem
    from qaudit.judges.judging import load_judge
    from qaudit.metrics import rtsi

    if sha256_and_size(path)[0] != evidence.sha256:
        yield f"{path.name} beside it is not the one that it rests on"
        return
    rows = list(read_responses(folder))
    for row in rows:
        if (problem := row_problem(row)) is not None:
            raise InputError(f"{path}: {problem}; audit again")
    if len(rows) != evidence.rows:
        yield f"{path.name} has {len(rows)} rows, and it says {evidence.rows}"
    scored: rtsi.Calibration | None = rtsi.PUBLISHED
    if report.settings and report.settings.calibration_sha256:
        scored = rtsi.load_calibration(calibration) if calibration else None
    judge = load_judge()
    if report.tool.version == __version__ and judge.sha256 != report.judge.sha256:
        yield f"it says that qaudit {__version__} judged with another judge than qaudit {__version__} has"
    again = other_labels(rows, judge) if judge.sha256 == report.judge.sha256 else ()
    yield from impossible_intervals(report.metrics)
    for difference in chain(unasked_prompts(rows, report), again, differences(rows, report, scored)):
        yield f"{path.name}: {difference}"
