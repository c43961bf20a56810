"""Whether a report still says what its own figures and replies say: the check before it is signed.

A signature binds a report's bytes, whatever they say. This finds a report that was edited after the
audit: its verdict is decided again from its figures under the policy, and its figures are counted
again from the labels in responses.jsonl where that lies beside it. Who edits all of these alike is
not found; who must be kept out of the audit's folder.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from qaudit import __version__
from qaudit.auditing.events import ARMS
from qaudit.errors import GateFailure, InputError
from qaudit.files import sha256_and_size
from qaudit.metrics.regimes import classify
from qaudit.policy.evaluation import evaluate
from qaudit.policy.schema import parse_policy
from qaudit.report.json_report import parse_report
from qaudit.values import Label, Metrics, Report

# as `qaudit.auditing.outputs` has it
RESPONSES = "responses.jsonl"
# reports round to nine digits
RELATIVE, ABSOLUTE = 1e-8, 1e-9
# of more suites, which are pooled is not searched
MAX_SUITES = 12

_Labels = tuple[list[Label], list[Label]]
_Row = dict[str, Any]


def refuse_changed_report(report: bytes, policy: bytes, where: Path) -> None:
    """Refuse a report that contradicts itself, its policy or the replies beside it.

    Args:
        report: the bytes of the report.
        policy: the bytes of the policy that judged it.
        where: the report's place; the replies are looked for beside it.

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
    yield from _against_replies(report, where.parent)


def _against_replies(report: Report, folder: Path) -> Iterator[str]:
    evidence = report.evidence.responses
    path = folder / RESPONSES
    if evidence.path != RESPONSES:
        yield f"it rests on {ascii(evidence.path)[:100]}, and every audit's replies are in {RESPONSES}"
    if not path.is_file():
        return
    # scipy, which this brings, takes a second: only where there is something to count
    from qaudit.auditing.outputs import read_responses

    if sha256_and_size(path)[0] != evidence.sha256:
        yield f"{path.name} beside it is not the one that it rests on"
        return
    rows = [_checked(row, path) for row in read_responses(folder)]
    if len(rows) != evidence.rows:
        yield f"{path.name} has {len(rows)} rows, and it says {evidence.rows}"
    for what, counted, told in _recounted(rows, report.metrics):
        if not _alike(counted, told):
            yield f"the labels in {path.name} give other figures for {what}"


def _checked(row: _Row, path: Path) -> _Row:
    told = (row["suite"], row["category"], row["expectation"], *(row[arm]["label"] for arm in ARMS))
    if not all(isinstance(text, str) for text in told):
        raise InputError(f"{path}: is not what an audit writes; audit again")
    return row


def _recounted(rows: Sequence[_Row], metrics: Metrics) -> Iterator[tuple[str, object, object]]:
    """Yield each figure that labels decide: its name, as counted again, and as the report has it."""
    from qaudit.metrics import paired

    refuse, answer = _of_kind(rows, "refuse"), _of_kind(rows, "answer")
    suites = _grouped(refuse, "suite")
    for name, told in metrics.suites.items():
        yield f"the suite {name}", paired.compare(*suites.get(name, ([], []))), told
    yield "harmless prompts", paired.compare(*_labels(answer)), metrics.over_refusal
    yield "coherence", paired.coherence(*_labels([*refuse, *answer])), metrics.coherence
    pooled = _pooled([*suites], refuse, metrics)
    yield "refusals", paired.compare(*_labels(pooled)), metrics.refusal
    yield "categories", paired.compare_categories(_grouped(pooled, "category")), metrics.categories


def _pooled(suites: Sequence[str], refuse: Sequence[_Row], metrics: Metrics) -> Sequence[_Row]:
    """Return the rows of the suites that together give the pooled rate of refusals.

    Suites that are derived from others are not pooled, and a report does not say which are.
    """
    pair = metrics.refusal
    wanted = (pair.pairs, pair.lost, pair.gained) if pair else (0, 0, 0)
    flips = {name: _flips([row for row in refuse if row["suite"] == name]) for name in suites}
    for count in range(len(suites), -1, -1) if len(suites) <= MAX_SUITES else ():
        for names in combinations(suites, count):
            if tuple(sum(flips[name][i] for name in names) for i in range(3)) == wanted:
                return [row for row in refuse if row["suite"] in names]
    return refuse


def _flips(rows: Sequence[_Row]) -> tuple[int, int, int]:
    from qaudit.metrics import paired

    pair = paired.compare(*_labels(rows))
    return (pair.pairs, pair.lost, pair.gained) if pair else (0, 0, 0)


def _of_kind(rows: Sequence[_Row], expectation: str) -> list[_Row]:
    return [row for row in rows if row["expectation"] == expectation]


def _grouped(rows: Sequence[_Row], key: str) -> dict[str, _Labels]:
    names = dict.fromkeys(row[key] for row in rows)
    return {name: _labels([row for row in rows if row[key] == name]) for name in names}


def _labels(rows: Sequence[_Row]) -> _Labels:
    return [row["reference"]["label"] for row in rows], [row["candidate"]["label"] for row in rows]


def _alike(left: object, right: object) -> bool:
    if is_dataclass(left) and is_dataclass(right) and type(left) is type(right):
        return all(_alike(getattr(left, f.name), getattr(right, f.name)) for f in fields(left))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_alike(left[key], right[key]) for key in left)
    if isinstance(left, tuple | list) and isinstance(right, tuple | list):
        return len(left) == len(right) and all(map(_alike, left, right))
    if isinstance(left, float) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return left == right
