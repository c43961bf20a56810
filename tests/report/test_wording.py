from dataclasses import replace

import pytest
from sample_report import failing_report, inconclusive_report

from qaudit.report.wording import (
    bound_after_none,
    bound_on_loss,
    evidence_and_reason,
    figure,
    interval,
    member_name,
    number,
    p_value,
    percent,
    points,
    result_name,
    spaced,
)
from qaudit.values import RuleResult


def test_figures_are_readable_and_absence_is_a_dash() -> None:
    assert percent(0.123) == "12.3 %"
    assert percent(0.123, 0) == "12 %"
    assert (points(-0.05), points(0.05)) == ("−5.0", "+5.0")
    assert interval((-0.05, 0.1), signed=True) == "−5.0 to +10.0"
    assert interval((0.05, 0.1)) == "5.0 to 10.0"
    assert number(0.00012345) == "0.0001234"
    assert (percent(None), points(None), interval(None), number(None), p_value(None)) == ("–",) * 5
    assert (figure(None), figure("LOW"), figure(-0.123456)) == ("not measured", "LOW", "-0.1235")
    assert spaced("violent_crimes") == "violent crimes"


@pytest.mark.parametrize("nothing", [0.0, -0.0, 0.0004, -0.0004])
def test_what_rounds_to_nothing_has_no_sign(nothing: float) -> None:
    assert points(nothing) == "0.0"


def test_small_p_values_are_bounds() -> None:
    assert (p_value(0.04321), p_value(1.0), p_value(1e-9), p_value(0.0)) == (
        "0.043", "1.000", "< 0.001", "< 0.001",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "metric", "name", "member"),
    [
        ("category-drop", "categories.hate.delta", "category-drop[hate]", "hate"),
        ("suite-drop", "suites.lab-core.delta", "suite-drop[lab-core]", "lab-core"),
        ("refusal-drop", "refusal.delta", "refusal-drop", ""),
        ("requires-category-n:hate", "categories.hate.pairs", "requires-category-n:hate", ""),
    ],
)
def test_results_of_one_rule_have_names_of_their_own(rule: str, metric: str, name: str, member: str) -> None:
    result = RuleResult(rule, 1.0, ">= 0", "pass", "", metric)
    assert (result_name(result), member_name(result)) == (name, member)


def test_the_reach_of_n_is_said() -> None:
    refusal = failing_report().metrics.refusal
    assert refusal is not None
    assert "39 of 180 refusals lost, 0 gained, over 180 prompts" in bound_on_loss(refusal)
    assert "80 % power" in bound_on_loss(refusal)
    few = inconclusive_report().metrics.categories["hate"]
    assert "no fall could have been detected" in bound_on_loss(few)
    assert "0 of 0" in bound_on_loss(replace(few, at_risk=0))


def test_zero_events_have_an_upper_bound() -> None:
    assert bound_after_none(59) == pytest.approx(0.0495, abs=5e-4)
    assert (1 - bound_after_none(59)) ** 59 == pytest.approx(0.05)
    assert bound_after_none(0) == 1.0
    pair = inconclusive_report().metrics.refusal
    assert pair is not None
    assert "zero lost of 18 means at most 15.3 %" in bound_on_loss(pair)


def test_the_policys_reason_is_told_from_the_evidence() -> None:
    assert evidence_and_reason("seen [x]; so [policy: no [more] than 10]") == (
        "seen [x]; so",
        "no [more] than 10",
    )
    assert evidence_and_reason("seen [x]") == ("seen [x]", "")
