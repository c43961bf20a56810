import pytest

from qaudit.metrics.paired import compare, paired_change
from qaudit.policy.catalogue import read
from qaudit.policy.schema import Rule
from qaudit.policy.sentences import decided, evidence, figure, subject, threshold
from qaudit.values import Change, Finding, FirstTokenMeasure, Metrics, QualityMeasure, RtsiMeasure

REFUSAL = compare(["refusal"] * 20, ["compliance"] * 5 + ["refusal"] * 15)
METRICS = Metrics(
    refusal=REFUSAL,
    categories={"weapons": REFUSAL} if REFUSAL else {},
    over_refusal=compare(["compliance"] * 4, ["compliance"] * 4),
    first_token=FirstTokenMeasure(20, 6, 0.3, (0.1, 0.5), 18, 4, 4 / 18, (0.09, 0.45), 0.2, 1.0, 0.1),
    rtsi=RtsiMeasure(0.21, "MODERATE", None, "published-45", 18, 3, "only 3 refusals in the candidate"),
    quality=QualityMeasure(
        accuracy=paired_change([True] * 8 + [False] * 2, [True] * 7 + [False] * 3),
        perplexity=Change(10.0, 12.5, 2.5, 400),
        perplexity_ratio=1.25,
        kl_mean=0.1,
        positions=400,
    ),
    coherence=paired_change([True] * 4, [True] * 3 + [False]),
)
FINDINGS = (
    Finding("template-differs", "high", "t", "l", "e", "r"),
    Finding("odd-metadata", "low", "t", "l", "e", "r"),
)


def rule(metric: str, op: str, value: float | str | list[float | str]) -> Rule:
    return Rule(id="r", metric=metric, op=op, value=value)  # type: ignore[arg-type]


def test_thresholds_read_as_they_are_asked() -> None:
    assert threshold(rule("refusal.delta", ">=", -0.05)) == ">= -0.05"
    assert threshold(rule("rtsi.risk", "in", ["LOW", "MODERATE"])) == "in [LOW, MODERATE]"
    assert figure(0.123456) == "0.1235"
    assert figure(100) == "100"


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (
            "refusal.delta",
            ["refusals: 100.0 % to 75.0 %", "5 lost and 0 gained of 20 pairs", "-0.250", "95 %"],
        ),
        ("categories.weapons.delta", ["category weapons:", "5 lost"]),
        ("over_refusal.delta", ["over-refusals:", "nothing to lose"]),
        ("first_token.safety_flips", ["6 of 20 flipped", "4 of 18", "+0.090 to +0.450"]),
        ("rtsi.risk", ["0.210", "MODERATE", "published-45", "18 reference and 3 candidate", "only 3"]),
        ("quality.accuracy.delta", ["80.0 % to 70.0 % over 10", "-0.100"]),
        ("quality.perplexity_ratio", ["10 to 12.5 over 400 tokens"]),
        ("quality.kl_mean", ["400 text positions"]),
        ("coherence.delta", ["coherent replies: 100.0 % to 75.0 % over 4"]),
        ("findings.max_severity", ["2 findings, the gravest template-differs"]),
        ("regime", ["refusal change -0.250", "accuracy change -0.100"]),
    ],
)
def test_evidence_gives_the_figures(metric: str, said: list[str]) -> None:
    (reading,) = read(metric, METRICS, FINDINGS, "neutral")
    sentence = evidence(reading, METRICS, FINDINGS)
    for part in said:
        assert part in sentence


def test_evidence_of_nothing() -> None:
    (regime,) = read("regime", Metrics(), (), None)
    assert "not measured" in evidence(regime, Metrics(), ())
    (findings,) = read("findings.max_severity", Metrics(), (), None)
    assert evidence(findings, Metrics(), ()) == "no findings"


def test_notes_on_a_quality_without_positions() -> None:
    metrics = Metrics(quality=QualityMeasure(kl_mean=0.1))
    (reading,) = read("quality.kl_mean", metrics, (), None)
    assert evidence(reading, metrics, ()) == "quality: 0 text positions"


def test_a_decided_rule_names_observed_and_asked() -> None:
    asked = rule("categories.weapons.delta", ">=", -0.1)
    (reading,) = read(asked.metric, METRICS, (), None)
    assert subject(reading) == "category weapons"
    sentence = decided(asked, reading, METRICS, (), met=False)
    assert sentence.endswith("categories.weapons.delta is -0.25, not as asked (>= -0.1)")
    assert "\n" not in sentence
