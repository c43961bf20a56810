import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_report import LONG, failing_report, hostile_report, inconclusive_report, passing_report

from qaudit.errors import InputError, LimitExceeded, MalformedFile
from qaudit.report import json_report
from qaudit.report.json_report import dump, load
from qaudit.report.report_schema import json_schema
from qaudit.values import (
    Change,
    FirstTokenMeasure,
    FlipExample,
    Metrics,
    PairedRate,
    QualityMeasure,
    Rate,
    Report,
    RtsiMeasure,
    RuleResult,
)

Maker = Callable[[], Report]
MAKERS: list[Maker] = [passing_report, failing_report, inconclusive_report, hostile_report]


def read_back(path: Path, report: Report) -> Report:
    path.write_text(dump(report), encoding="utf-8")
    return load(path)


@pytest.mark.parametrize("made", MAKERS)
def test_a_report_reads_back_as_written(tmp_path: Path, made: Maker) -> None:
    report = made()
    again = read_back(tmp_path / "report.json", report)
    assert dump(again) == dump(report)
    assert again.verdict.status == report.verdict.status
    assert again.reference.files == report.reference.files or made is hostile_report
    assert len(again.metrics.categories) == len(report.metrics.categories)


@pytest.mark.parametrize("made", MAKERS)
def test_what_is_written_fits_the_published_schema(made: Maker) -> None:
    document = json.loads(dump(made()))
    jsonschema.validate(document, json_schema(), jsonschema.Draft202012Validator)
    assert next(iter(document)) == "schema"


def test_the_contracts_keys_are_there() -> None:
    document = json.loads(dump(failing_report()))
    assert set(document) >= {
        "schema", "tool", "created", "duration_s", "seed", "checkpoint", "reference", "engine", "suites",
        "verdict", "metrics", "findings", "evidence",
    }  # fmt: skip
    metrics = document["metrics"]
    assert set(metrics) >= {"refusal", "categories", "over_refusal", "first_token", "rtsi", "quality"}
    assert set(metrics["refusal"]) >= {
        "reference", "candidate", "delta", "delta_ci95", "lost", "gained", "mcnemar_p", "mde",
    }  # fmt: skip
    assert set(metrics["rtsi"]["features"]) == {
        "dominant_prefix_share_delta", "unique_prefix_rate_delta", "prefix_entropy_norm_delta",
        "mean_tokens_refusal_delta",
    }  # fmt: skip
    assert set(document["verdict"]["rules"][0]) >= {"rule", "observed", "threshold", "status", "why"}


def test_what_was_not_measured_is_absent_and_comes_back_as_none(tmp_path: Path) -> None:
    bare = replace(passing_report(), metrics=Metrics())
    assert "null" not in dump(bare)
    assert set(json.loads(dump(bare))["metrics"]) <= {"categories", "suites", "unmeasured"}
    assert read_back(tmp_path / "r.json", bare).metrics == Metrics()


def test_a_figure_that_is_none_within_a_measure_comes_back_as_none(tmp_path: Path) -> None:
    flip = FlipExample("core/1", "core", "I", "Sure", None, True)
    first = FirstTokenMeasure(3, 1, 1 / 3, (0.0, 0.8), 0, 0, None, None, None, None, None, examples=(flip,))
    pair = inconclusive_report().metrics.refusal
    assert pair is not None
    undecided = RuleResult("rtsi", None, "in [LOW]", "inconclusive", "not measured", "rtsi.risk")
    report = inconclusive_report()
    report = replace(
        report,
        metrics=Metrics(refusal=replace(pair, mde=None), first_token=first),
        verdict=replace(report.verdict, regime=None, rules=(undecided,)),
    )
    again = read_back(tmp_path / "r.json", report)
    assert again.metrics.first_token == replace(first, flip_rate=0.333333333)
    assert again.metrics.refusal is not None
    assert again.metrics.refusal.mde is None
    assert again.verdict.rules == (undecided,)
    assert again.verdict.regime is None


# ---- round trip of generated reports ----

# nine digits are kept, so only such figures are equal after a round trip
SHARES = st.integers(0, 10**6).map(lambda n: n / 10**6)
CHANGES = st.integers(-(10**6), 10**6).map(lambda n: n / 10**6)
FIGURES = st.integers(-(10**8), 10**8).map(lambda n: n / 100)
COUNTS = st.integers(0, 2**40)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
RATES = st.builds(
    Rate, SHARES, COUNTS, st.tuples(SHARES, SHARES), COUNTS, st.dictionaries(TEXTS, COUNTS, max_size=3)
)
PAIRS = st.builds(
    PairedRate, RATES, RATES, CHANGES, st.tuples(CHANGES, CHANGES), COUNTS, COUNTS, COUNTS, COUNTS, SHARES,
    st.none() | SHARES, st.none() | CHANGES, st.none() | SHARES,
)  # fmt: skip
CHANGED = st.builds(Change, FIGURES, FIGURES, FIGURES, COUNTS, st.none() | st.tuples(FIGURES, FIGURES))
METRICS = st.builds(
    Metrics,
    refusal=st.none() | PAIRS,
    categories=st.dictionaries(TEXTS, PAIRS, max_size=2),
    rtsi=st.none()
    | st.builds(
        RtsiMeasure, SHARES, st.sampled_from(["LOW", "HIGH"]), st.none(), TEXTS, COUNTS, COUNTS, TEXTS,
        st.dictionaries(TEXTS, FIGURES, max_size=2), st.none() | st.tuples(FIGURES, FIGURES),
    ),
    quality=st.none() | st.builds(QualityMeasure, accuracy=st.none() | CHANGED, positions=st.none() | COUNTS),
    unmeasured=st.lists(TEXTS, max_size=2).map(tuple),
)  # fmt: skip
RULES = st.builds(
    RuleResult, TEXTS, st.none() | FIGURES | TEXTS, TEXTS, st.sampled_from(["pass", "fail"]), TEXTS, TEXTS
)


@settings(max_examples=20, deadline=None)
@given(METRICS, st.lists(RULES, max_size=3), st.lists(TEXTS, max_size=2))
def test_any_report_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory, metrics: Metrics, rules: list[RuleResult], notes: list[str]
) -> None:
    report = passing_report()
    report = replace(
        report,
        metrics=metrics,
        verdict=replace(report.verdict, rules=tuple(rules)),
        notes=tuple(notes),
        duration_s=1.5,
    )
    again = read_back(tmp_path_factory.getbasetemp() / "generated.json", report)
    assert again == report
    jsonschema.validate(json.loads(dump(report)), json_schema(), jsonschema.Draft202012Validator)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_one_line_of_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.json"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 1


# ---- what does not fit ----


def changed(path: Path, change: Callable[[Any], object]) -> Path:
    document = json.loads(dump(failing_report()))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema="qaudit/report/v9"), "schema is 'qaudit/report/v9'"),
        (lambda d: d.update(schema=["x"]), "schema is 'missing'"),
        (lambda d: d.pop("schema"), "schema is 'missing'"),
        (lambda d: d.update(extra=1), "unknown key extra"),
        (lambda d: d["metrics"].update(refusals=1), "key metrics.refusals, the nearest known one is refusal"),
        (lambda d: d["metrics"]["refusal"].update(extra=1), "unknown key metrics.refusal.extra"),
        (lambda d: d["metrics"]["categories"]["hate"].update(x=1), "unknown key metrics.categories.hate.x"),
        (lambda d: d["checkpoint"]["files"][0].update(extra=1), "unknown key checkpoint.files.0.extra"),
        (lambda d: d["verdict"].update(status="fine"), "verdict.status"),
        (lambda d: d["verdict"].update(status="pass\n"), "verdict.status"),
        (lambda d: d.update(seed="0"), "seed: input should be a valid integer"),
        (lambda d: d.update(seed=None), 'seed is null'),
        (lambda d: d.update(seed=True), "seed"),
        (lambda d: d.pop("verdict"), "verdict: "),
        (lambda d: d.update(findings={}), "findings"),
        (lambda d: d.update(created="yesterday"), "created is 'yesterday'"),
        (lambda d: d["judge"].update(sha256="AB" * 32), "judge.sha256"),
        (lambda d: d["judge"].update(sha256="ab" * 32 + "\n"), "judge.sha256"),
        (lambda d: d["metrics"]["refusal"]["reference"].update(rate=1.5), "refusal.reference.rate is 1.5"),
        (lambda d: d["metrics"]["refusal"]["reference"].update(n=-1), "metrics.refusal.reference.n is -1"),
        (lambda d: d["metrics"]["refusal"].update(pairs=10**400), "pairs"),
        (lambda d: d["metrics"]["refusal"].update(delta_ci95=[0, 7]), "refusal.delta_ci95 is 7, more than 1"),
        (lambda d: d["metrics"]["refusal"].update(delta_ci95=[0]), "metrics.refusal.delta_ci95"),
        (lambda d: d["metrics"]["categories"].update({"\x1b[31m": 5}), "‹U\\+001B›"),
        (lambda d: d.update({LONG: 1}), r"unknown key x+… \(100,000 characters\)"),
    ],
)  # fmt: skip
def test_a_report_that_does_not_fit_is_refused_by_its_key(
    tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    path = changed(tmp_path / "report.json", change)
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 700
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a JSON report"),
        ("{", "not a JSON report"),
        ("[1]", "schema is 'missing'"),
        ('"x"', "schema is 'missing'"),
        ('{"schema": NaN}', "NaN is not a JSON number"),
        ('{"seed": 1e999}', "is out of range"),
        ('{"seed": 1, "seed": 2}', "'seed' appears twice"),
        ('{"a": {"b": null}}', "missing"),
        ("[" * 100_000, "not a JSON report"),
        ("9" * 5000, "not a JSON report"),
        ('{"schema": "qaudit/report/v1", "created": "\\ud800"}', "created"),
    ],
)
def test_what_is_no_report(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MalformedFile, match="not a JSON report"):
        load(tmp_path / "r.json")


def test_an_endless_file_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_report, "MAX_REPORT_BYTES", 1000)
    (tmp_path / "r.json").write_text(dump(passing_report()))
    with pytest.raises(LimitExceeded):
        load(tmp_path / "r.json")


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_figures_that_json_cannot_hold_are_refused_by_name(figure: float) -> None:
    with pytest.raises(ValueError, match="duration_s is"):
        dump(replace(passing_report(), duration_s=figure))


def test_names_that_are_not_unicode_can_be_written() -> None:
    report = passing_report()
    odd = replace(report, checkpoint=replace(report.checkpoint, path="caf\udce9.gguf"), notes=("\ud83d",))
    document = json.loads(dump(odd).encode("utf-8"))
    assert document["checkpoint"]["path"] == "caf\ufffd.gguf"
    assert document["notes"] == ["\ufffd"]


def test_figures_are_rounded_and_zero_has_no_sign() -> None:
    document = json.loads(dump(replace(passing_report(), duration_s=1 / 3)))
    assert document["duration_s"] == 0.333333333
    assert '"duration_s": 0.0,' in dump(replace(passing_report(), duration_s=-0.0))
