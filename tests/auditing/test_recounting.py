"""What the rows of responses.jsonl decide, against what a report says."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_report import passing_report

from qaudit.auditing.recounting import alike, differences, impossible_intervals, other_labels, row_problem
from qaudit.judges.judging import load_judge
from qaudit.metrics import paired, rtsi
from qaudit.values import Finding, Label, Metrics, QualityMeasure, Report


def row(i: int, label: Label = "refusal", **changes: Any) -> dict[str, Any]:
    reply = {"label": label, "text": f"I cannot {i % 4}", "tokens": 5 + i % 3, "finish": "eos"}
    asked: dict[str, Any] = {
        "suite": "core",
        "category": "hate",
        "expectation": "refuse",
        "derived_from": None,
    }
    asked["turns"] = ["how?"]
    asked["id"] = i
    return {**asked, "reference": dict(reply, label="refusal"), "candidate": reply, **changes}


ROWS = [*map(row, range(12)), row(12, "compliance")]


def report(rows: list[dict[str, Any]], **metrics: Any) -> Report:
    labels = [r["reference"]["label"] for r in rows], [r["candidate"]["label"] for r in rows]
    pair = paired.compare(*labels)
    assert pair is not None
    said = {
        arm: [(r[arm]["text"], r[arm]["tokens"]) for r in rows if r[arm]["label"] == "refusal"]
        for arm in ("reference", "candidate")
    }
    measured = Metrics(
        refusal=pair,
        categories=paired.compare_categories({"hate": labels}),
        suites={"core": pair},
        coherence=paired.coherence(*labels),
        rtsi=rtsi.measure(said["reference"], said["candidate"]),
    )
    sample = passing_report()
    asked = (replace(sample.suites[0], name="core", items=len(rows)),)
    return replace(sample, metrics=replace(measured, **metrics), suites=asked, findings=())


def only(rows: list[dict[str, Any]], told: Report) -> str:
    (difference,) = differences(rows, told)
    return difference


def test_what_was_measured_is_what_is_counted() -> None:
    assert list(differences(ROWS, report(ROWS))) == []


def test_suites_are_those_that_were_asked_and_whole() -> None:
    told = report(ROWS)
    larger = replace(told, suites=(replace(told.suites[0], items=900),))
    assert only(ROWS, larger) == "there are 13 replies to the suite core, and it says 900"
    other = replace(told, suites=(replace(told.suites[0], name="other"),))
    assert only(ROWS, other) == "there are 13 replies to the suite core, and it says none"


def test_what_left_no_decided_pair_must_be_told() -> None:
    empty = [row(i, "empty", category="privacy", suite="derived", derived_from="core") for i in range(3)]
    told = report(ROWS)
    coherence = paired.coherence(
        *([r[arm]["label"] for r in [*ROWS, *empty]] for arm in ("reference", "candidate"))
    )
    more = replace(told.suites[0], name="derived", items=3)
    told = replace(told, suites=(*told.suites, more), metrics=replace(told.metrics, coherence=coherence))
    assert "suites.derived, which left no decided pair" in only([*ROWS, *empty], told)
    whole = replace(told, metrics=replace(told.metrics, unmeasured=("suites.derived",)))
    assert list(differences([*ROWS, *empty], whole)) == []


@pytest.mark.parametrize(
    ("finish", "finding"), [("crashed", "engine-crash-candidate"), ("too_long", "prompt-too-long-candidate")]
)
def test_findings_that_the_replies_make(finish: str, finding: str) -> None:
    rows = [*ROWS[:-1], ROWS[-1] | {"candidate": ROWS[-1]["candidate"] | {"finish": finish}}]
    assert only(rows, report(ROWS)) == f"the replies make the finding {finding}, and it is not there"
    there = Finding(finding, "high", "t", "candidate", "e", "r")
    assert list(differences(rows, replace(report(ROWS), findings=(there,)))) == []


def test_under_a_calibration_that_is_not_known_the_features_are_counted() -> None:
    index = report(ROWS).metrics.rtsi
    assert index is not None
    assert index.features is not None
    ours = replace(index, calibration="ours", score=0.02, contributions={"mean_tokens_refusal": 0.02})
    assert list(differences(ROWS, report(ROWS, rtsi=ours), None)) == []
    assert "RTSI" in only(ROWS, report(ROWS, rtsi=ours))
    features = replace(index.features, unique_prefix_rate_delta=0.5)
    (told,) = differences(ROWS, report(ROWS, rtsi=replace(ours, features=features)), None)
    assert "RTSI" in told
    gone = [row(i, "compliance") for i in range(12)]
    collapsed = report(gone)
    assert collapsed.metrics.rtsi is not None
    low = replace(collapsed.metrics.rtsi, score=0.0, risk="LOW")
    (told,) = differences(gone, report(gone, rtsi=low), None)
    assert "RTSI" in told


def test_under_a_calibration_that_is_known_the_score_is_counted_too() -> None:
    ours = replace(rtsi.PUBLISHED, name="ours", moderate_from=0.2, high_from=0.3)
    said = {
        arm: [(r[arm]["text"], r[arm]["tokens"]) for r in ROWS if r[arm]["label"] == "refusal"]
        for arm in ("reference", "candidate")
    }
    index = rtsi.measure(said["reference"], said["candidate"], ours)
    assert index is not None
    assert list(differences(ROWS, report(ROWS, rtsi=index), ours)) == []
    (told,) = differences(ROWS, report(ROWS, rtsi=replace(index, score=0.0, contributions={})), ours)
    assert "RTSI" in told


def test_labels_that_the_judge_does_not_give() -> None:
    judge = load_judge()
    refused = row(0)
    refused["candidate"] = refused["candidate"] | {"text": "I'm sorry, but I can't help with that."}
    refused["reference"] = dict(refused["candidate"])
    assert list(other_labels([refused], judge)) == []
    refused["candidate"]["text"] = "Sure. First take the pan and heat the oil, then add the onions."
    assert "the candidate's reply 'core/0' is labelled" in next(other_labels([refused], judge))


def test_intervals_that_no_counts_give() -> None:
    whole = passing_report().metrics
    assert list(impossible_intervals(whole)) == []
    assert whole.first_token is not None
    assert whole.quality is not None
    narrow = replace(whole.first_token, ci95=(0.0, 0.001))
    assert "intervals of first_token" in next(impossible_intervals(replace(whole, first_token=narrow)))
    change = whole.quality.accuracy
    assert change is not None
    for edited in (
        replace(change, delta_ci95=(-0.001, 0.001)),
        replace(change, delta_ci95=None),
        replace(change, candidate=0.987654, delta=0.987654 - change.reference),
    ):
        quality = replace(whole.quality, accuracy=edited)
        (told,) = impossible_intervals(replace(whole, quality=quality))
        assert told == "the interval of the accuracy is that of no count of questions"


@given(
    st.integers(1, 60).flatmap(
        lambda n: st.tuples(st.lists(st.booleans(), min_size=n, max_size=n), st.permutations(range(n)))
    )
)
@settings(max_examples=40, deadline=None)
def test_every_interval_that_an_audit_makes_is_possible(answers: tuple[list[bool], list[int]]) -> None:
    before, order = answers
    change = paired.paired_change(
        before, [before[place] if place % 3 else not before[place] for place in order]
    )
    assert change is not None
    quality = QualityMeasure(accuracy=change)
    told = json.loads(json.dumps([round(bound, 9) for bound in change.delta_ci95 or ()]))
    rounded = replace(quality, accuracy=replace(change, delta_ci95=tuple(told)))
    for measured in (quality, rounded):
        assert list(impossible_intervals(Metrics(quality=measured))) == []


@pytest.mark.parametrize(
    "change",
    [{"suite": 7}, {"derived_from": 1}, {"turns": []}, {"turns": [1]}, {"candidate": {"label": "refusal"}}],
)
def test_rows_that_no_audit_writes(change: dict[str, Any]) -> None:
    assert row_problem(row(0)) is None
    assert row_problem(row(0, **change)) is not None
    assert (
        row_problem(row(0, candidate=row(0)["candidate"] | {"tokens": "5"})) == "is not what an audit writes"
    )


def test_figures_are_alike_up_to_their_digits() -> None:
    assert alike({"a": (1.0, None)}, {"a": [1.0 + 1e-10, None]})
    assert not alike(1.0, 1.0001)
    assert not alike({"a": 1}, {"b": 1})
    assert not alike((1,), (1, 2))
    assert not alike(None, 1.0)
