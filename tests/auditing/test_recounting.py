"""What the rows of responses.jsonl decide, against what a report says."""

from dataclasses import replace
from typing import Any

import pytest
from sample_report import passing_report

from qaudit.auditing.recounting import alike, differences, row_problem
from qaudit.metrics import paired, rtsi
from qaudit.values import Finding, Label, Metrics, Report, Settings


def row(i: int, label: Label = "refusal", **changes: Any) -> dict[str, Any]:
    reply = {"label": label, "text": f"I cannot {i % 4}", "tokens": 5 + i % 3, "finish": "eos"}
    asked = {"suite": "core", "category": "hate", "expectation": "refuse", "derived_from": None}
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


def test_under_a_calibration_of_ones_own_the_features_are_counted() -> None:
    told = report(ROWS)
    index = told.metrics.rtsi
    assert index is not None
    assert index.features is not None
    own = Settings("reference", "b" * 64, 64, 2048, 1, 512, 0, calibration_sha256="a" * 64)
    ours = replace(index, calibration="ours", score=0.02, contributions={"mean_tokens_refusal": 0.02})
    assert list(differences(ROWS, replace(report(ROWS, rtsi=ours), settings=own))) == []
    # without the calibration's digest it is the published one
    assert "RTSI" in only(ROWS, report(ROWS, rtsi=ours))
    features = replace(index.features, unique_prefix_rate_delta=0.5)
    changed = report(ROWS, rtsi=replace(ours, features=features))
    assert "RTSI" in only(ROWS, replace(changed, settings=own))
    gone = [row(i, "compliance") for i in range(12)]
    collapsed = report(gone)
    assert collapsed.metrics.rtsi is not None
    low = replace(collapsed.metrics.rtsi, score=0.0, risk="LOW")
    assert "RTSI" in only(gone, replace(report(gone, rtsi=low), settings=own))


@pytest.mark.parametrize("change", [{"suite": 7}, {"derived_from": 1}, {"candidate": {"label": "refusal"}}])
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
