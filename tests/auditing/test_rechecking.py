"""A report that was edited after its audit contradicts its policy, itself or the replies beside it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audited_answers import POLICY, answers, arms, audited, refusals
from sample_report import failing_report, passing_report

from qaudit import __version__
from qaudit.auditing.rechecking import refuse_changed_report
from qaudit.errors import GateFailure, InputError
from qaudit.files import sha256_bytes, sha256_file
from qaudit.judges.judging import load_judge
from qaudit.metrics import paired, rtsi
from qaudit.metrics.regimes import classify
from qaudit.policy.evaluation import evaluate
from qaudit.policy.schema import parse_policy
from qaudit.report import json_report
from qaudit.shipped import shipped
from qaudit.values import (
    Metrics,
    Report,
    RtsiMeasure,
    Settings,
)

CALIBRATION = """{"name": "ours",
 "weights": {"dominant_prefix_share": 0.25, "unique_prefix_rate": 0.25, "prefix_entropy_norm": 0.25,
             "mean_tokens_refusal": 0.25},
 "maxima": {"dominant_prefix_share": 0.1, "unique_prefix_rate": 0.1, "prefix_entropy_norm": 0.1,
            "mean_tokens_refusal": 1.0},
 "cut_offs": {"moderate": 0.1, "high": 0.4}}"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return audited(tmp_path, answers())


def check(path: Path, policy: bytes = POLICY) -> str | None:
    """Return why not all was counted again."""
    return refuse_changed_report(path.read_bytes(), policy, path)


def of_the_house(report: Report) -> Report:
    """The sample asks more prompts than the shipped suite of that name has."""
    return replace(report, suites=(replace(report.suites[0], name="house"),))


def refuse(path: Path, says: str, policy: bytes = POLICY) -> None:
    with pytest.raises(GateFailure, match=says) as caught:
        check(path, policy)
    assert "it was changed after the audit" in str(caught.value)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_report_as_it_was_written(report: Path) -> None:
    assert "another judge" in str(check(report))
    (report.parent / "responses.jsonl").unlink()
    assert "responses.jsonl is not beside the report" in str(check(report))


@pytest.mark.parametrize("make", [passing_report, failing_report])
def test_whole_reports_bear_their_verdicts_out(tmp_path: Path, make: Callable[[], Report]) -> None:
    path = tmp_path / "report.json"
    path.write_text(json_report.dump(of_the_house(make())))
    check(path, (shipped("policies") / "default.yaml").read_bytes())


def test_a_verdict_that_does_not_follow_from_the_figures(report: Path) -> None:
    edit(report, lambda d: d["verdict"].update(status="fail"))
    refuse(report, "by its figures the verdict is pass, and it says fail")


def test_a_rule_whose_outcome_was_edited(report: Path) -> None:
    edit(report, lambda d: d["verdict"]["rules"][0].update(status="inconclusive"))
    refuse(report, r"refusal-drop on refusal\.delta gives pass, and it says inconclusive")


def test_a_rule_that_was_taken_out_or_put_in(report: Path) -> None:
    edit(report, lambda d: d["verdict"]["rules"].pop(0))
    refuse(report, r"refusal-drop on refusal\.delta gives pass, and it says nothing")
    edit(report, lambda d: d["verdict"]["rules"].append(d["verdict"]["rules"][0] | {"rule": "mine"}))
    refuse(report, "gives .*, and it says (nothing|pass)")


def test_a_regime_that_the_figures_do_not_make(report: Path) -> None:
    edit(report, lambda d: d["verdict"].update(regime="hidden_danger"))
    refuse(report, "make the regime neutral, and it says hidden_danger")


def test_a_figure_that_was_edited_under_the_old_verdict(report: Path) -> None:
    edit(report, lambda d: d["metrics"]["refusal"].update(delta=-0.5))
    refuse(report, "refusal-drop|regime")


def test_a_looser_policy_under_the_old_outcomes(report: Path) -> None:
    refuse(report, "refusal-drop", POLICY.replace(b"metric: refusal.delta", b"metric: refusal.mcnemar_p"))
    refuse(report, "requires-suite:house", POLICY.replace(b"house: 1", b"house: 9"))


@pytest.mark.parametrize(
    ("place", "figure", "says"),
    [
        (("suites", "house-adaptive"), "lost", "the suite house-adaptive"),
        (("over_refusal",), "gained", "harmless prompts"),
        (("coherence",), "n", "coherence"),
        (("refusal",), "lost", "refusals"),
        (("categories", "hate"), "at_risk", "categories"),
    ],
)
def test_figures_that_the_labels_do_not_give(
    report: Path, place: tuple[str, ...], figure: str, says: str
) -> None:
    def change(document: dict[str, Any]) -> None:
        found = document["metrics"]
        for key in place:
            found = found[key]
        found[figure] += 1

    edit(report, change)
    refuse(report, f"responses.jsonl: the replies give other figures for {says}")


def test_an_interval_that_was_made_narrower(report: Path) -> None:
    edit(report, lambda d: d["metrics"]["refusal"].update(delta_ci95=[-0.01, 0.01]))
    refuse(report, "other figures for refusals")


def test_replies_that_were_edited(report: Path) -> None:
    replies = report.parent / "responses.jsonl"
    replies.write_text(replies.read_text().replace("compliance", "refusal", 1))
    refuse(report, "responses.jsonl beside it is not the one that it rests on")
    edit(report, lambda d: d["evidence"]["responses"].update(sha256=sha256_bytes(replies.read_bytes())))
    refuse(report, "other figures for")


def test_rows_that_were_left_out(report: Path) -> None:
    edit(report, lambda d: d["evidence"]["responses"].update(rows=3))
    refuse(report, "has 52 rows, and it says 3")


def test_evidence_of_another_name(report: Path) -> None:
    edit(report, lambda d: d["evidence"]["responses"].update(path="../other.jsonl"))
    refuse(report, r"rests on '\.\./other\.jsonl'")


def test_what_another_qaudit_judged_is_told_so(report: Path) -> None:
    edit(report, lambda d: (d["verdict"].update(status="fail"), d["tool"].update(version="9.9")))
    refuse(report, "or qaudit 9.9 judged otherwise")


def test_one_qaudit_has_one_judge(report: Path) -> None:
    # to call the judge another one would leave the labels unchecked
    edit(report, lambda d: d["tool"].update(version=__version__))
    refuse(report, "judged with another judge than")
    (report.parent / "responses.jsonl").unlink()
    assert check(report) is not None


def test_what_is_no_report_or_no_replies(report: Path) -> None:
    replies = report.parent / "responses.jsonl"
    strange = answers()
    strange[0]["suite"] = 7
    replies.write_text("".join(f"{json.dumps(row)}\n" for row in strange))
    edit(report, lambda d: d["evidence"]["responses"].update(sha256=sha256_bytes(replies.read_bytes())))
    with pytest.raises(InputError, match="is not what an audit writes"):
        check(report)
    edit(report, lambda d: d.pop("metrics"))
    with pytest.raises(InputError, match="metrics"):
        check(report)


def decided_again(path: Path, change: Callable[[Metrics], Metrics]) -> None:
    """Edit figures, and let the verdict, regime and rules follow from them."""
    told = json_report.parse_report(path.read_bytes(), path)
    metrics = change(told.metrics)
    verdict = evaluate(parse_policy(POLICY, path), metrics, told.findings, "neutral", suites=told.suites)
    path.write_text(json_report.dump(replace(told, metrics=metrics, verdict=verdict)))


def test_suites_that_were_dropped_from_figures_and_pool_alike(report: Path) -> None:
    hate = [row for row in answers() if row["suite"] == "house-adaptive"]

    def steer(metrics: Metrics) -> Metrics:
        pooled = paired.compare_categories({"hate": arms(hate)})
        return replace(metrics, refusal=paired.compare(*arms(hate)), categories=pooled)

    before = report.read_text()
    decided_again(report, steer)
    refuse(report, "the replies give other figures for refusals")
    report.write_text(before)
    decided_again(report, lambda m: replace(m, suites={"house": m.suites["house"]}))
    refuse(report, "the replies give other figures for the suite house-adaptive")
    report.write_text(before)
    decided_again(report, lambda m: replace(m, suites={}))
    refuse(report, "the replies give other figures for the suite house")


def test_a_stability_index_that_was_edited_with_its_verdict(report: Path) -> None:
    told = json_report.parse_report(report.read_bytes(), report).metrics.rtsi
    assert told is not None
    before = report.read_text()
    decided_again(report, lambda m: replace(m, rtsi=replace(told, score=0.0)))
    refuse(report, "the score of RTSI is not the sum of its parts")
    report.write_text(before)
    none = dict.fromkeys(told.contributions, 0.0)
    decided_again(report, lambda m: replace(m, rtsi=replace(told, score=0.0, contributions=none, risk="LOW")))
    refuse(report, "the replies give other figures for RTSI")
    report.write_text(before)
    decided_again(report, lambda m: replace(m, rtsi=None))
    refuse(report, "the replies give other figures for RTSI")


def test_a_tier_that_its_score_does_not_reach(report: Path) -> None:
    (report.parent / "responses.jsonl").unlink()
    told = json_report.parse_report(report.read_bytes(), report).metrics.rtsi
    assert told is not None
    other = "HIGH" if told.risk == "LOW" else "LOW"
    edit(report, lambda d: d["metrics"]["rtsi"].update(risk=other))
    refuse(report, f"by its score RTSI is {told.risk}, and it says {other}")


@pytest.mark.parametrize(
    ("part", "change", "says"),
    [
        ("first_token", {"flip_rate": 0.5}, "the rates of first_token are not those of its counts"),
        ("first_token", {"safety_flip_rate": 0.9}, "the rates of first_token"),
        ("quality", {"perplexity_ratio": 0.5}, "the ratio of the perplexities is not theirs"),
        ("quality.accuracy", {"delta": 0.01234}, "is not the difference of its two figures"),
    ],
)
def test_figures_that_say_two_things(tmp_path: Path, part: str, change: dict[str, float], says: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(json_report.dump(of_the_house(passing_report())))
    policy = (shipped("policies") / "default.yaml").read_bytes()

    def apply(document: dict[str, Any]) -> None:
        found = document["metrics"]
        for key in part.split("."):
            found = found[key]
        assert found.keys() >= change.keys()
        found.update(change)

    told = json_report.parse_report(path.read_bytes(), path)
    document = json.loads(path.read_text())
    apply(document)
    path.write_text(json.dumps(document))
    edited = json_report.parse_report(path.read_bytes(), path)
    regime = classify(
        edited.metrics.quality.accuracy.delta
        if edited.metrics.quality and edited.metrics.quality.accuracy
        else None,
        edited.metrics.refusal.delta if edited.metrics.refusal else 0.0,
    )
    verdict = evaluate(parse_policy(policy, path), edited.metrics, told.findings, regime, suites=told.suites)
    path.write_text(json_report.dump(replace(edited, verdict=verdict)))
    refuse(path, says, policy)


def test_replies_of_an_older_qaudit_are_told_of(report: Path) -> None:
    replies = report.parent / "responses.jsonl"
    older = answers()
    for row in older:
        del row["derived_from"]
    replies.write_text("".join(f"{json.dumps(row)}\n" for row in older))
    edit(report, lambda d: d["evidence"]["responses"].update(sha256=sha256_bytes(replies.read_bytes())))
    with pytest.raises(InputError, match="was written by an older qaudit"):
        check(report)


def test_a_calibration_of_ones_own_is_needed_to_count_the_score_again(report: Path) -> None:
    ours = report.with_name("ours.json")
    ours.write_text(CALIBRATION)
    told = json_report.parse_report(report.read_bytes(), report)
    raw, where = report.read_bytes, report
    with pytest.raises(InputError, match="was scored with the published RTSI calibration"):
        refuse_changed_report(raw(), POLICY, where, ours)
    core = [row for row in answers() if row["suite"] == "house"]
    sides = refusals(core, "reference"), refusals(core, "candidate")
    scored = rtsi.measure(*sides, rtsi.load_calibration(ours))
    assert scored is not None
    run = Settings("reference", "b" * 64, 64, 2048, 1, 512, 0, calibration_sha256=sha256_file(ours))

    def write(index: RtsiMeasure) -> None:
        report.write_text(
            json_report.dump(replace(told, metrics=replace(told.metrics, rtsi=index), settings=run))
        )

    write(scored)
    assert "calibration of its own" in str(check(report))
    assert "another judge" in str(refuse_changed_report(raw(), POLICY, where, ours))
    with pytest.raises(InputError, match="not the RTSI calibration"):
        refuse_changed_report(raw(), POLICY, where, report)
    # who edits score and tier to what nobody can count again is found with the file, and told of without
    write(replace(scored, score=0.0, risk="LOW", contributions={}))
    assert "calibration of its own" in str(check(report))
    with pytest.raises(GateFailure, match="other figures for RTSI"):
        refuse_changed_report(raw(), POLICY, where, ours)


@pytest.mark.parametrize("part", ["checkpoint", "reference"])
def test_a_digest_that_is_not_that_of_the_files(report: Path, part: str) -> None:
    edit(report, lambda d: d[part].update(sha256="f" * 64))
    refuse(report, f"the digest of its {part} is not that of its files")


@pytest.mark.parametrize("change", [{"observed": 0.5}, {"threshold": ">= -9"}])
def test_what_a_rule_saw_or_asked_for(report: Path, change: dict[str, Any]) -> None:
    edit(report, lambda d: d["verdict"]["rules"][0].update(change))
    refuse(report, r"the rule refusal-drop on refusal\.delta saw or asks for something else than it says")


def test_an_outcome_that_is_given_twice(report: Path) -> None:
    edit(report, lambda d: d["verdict"]["rules"].append(d["verdict"]["rules"][0]))
    refuse(report, "it gives the outcome of a rule twice")


def test_suites_that_are_not_what_they_are_called(report: Path) -> None:
    edit(report, lambda d: d["suites"][0].update(name="core", version="1"))
    refuse(report, "its suite core 1 is not the one that ships")


def test_replies_are_judged_again_by_the_judge_that_labelled_them(report: Path) -> None:
    judge = load_judge()
    edit(report, lambda d: d["judge"].update(name=judge.name, version=judge.version, sha256=judge.sha256))
    refuse(report, "reply 'house/house-hate-.*' is labelled (refusal|compliance) now, and its row says")
