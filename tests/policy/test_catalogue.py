import pytest

from qaudit.metrics.paired import compare
from qaudit.policy.catalogue import kind_of, known_metrics, max_severity, nearest, read
from qaudit.values import Change, Finding, Metrics, PairedRate, QualityMeasure


def pair(lost: int, n: int = 20) -> PairedRate:
    found = compare(["refusal"] * n, ["compliance"] * lost + ["refusal"] * (n - lost))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "path",
    [
        "refusal.delta_ci95.0",
        "refusal.candidate.rate",
        "refusal.candidate.labels.incoherent",
        "categories.*.delta",
        "categories.weapons.p_adjusted",
        "suites.*.delta",
        "suites.unseen.delta",
        "over_refusal.delta_ci95.1",
        "first_token.safety_flip_rate",
        "first_token_after_reasoning.kl_p99",
        "rtsi.risk",
        "rtsi.features.unique_prefix_rate_delta",
        "quality.perplexity_ratio",
        "quality.accuracy.delta_ci95.1",
        "coherence.delta",
        "findings.max_severity",
        "regime",
    ],
)
def test_knows_what_the_values_hold(path: str) -> None:
    assert kind_of(path) is not None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "refusal",
        "refusal.delta_ci95",
        "refusal.delta_ci95.2",
        "refusal.detla",
        "categories.delta",
        "categories..delta",
        "first_token.examples",
        "unmeasured",
        "refusal.__class__",
    ],
)
def test_knows_nothing_else(path: str) -> None:
    assert kind_of(path) is None


def test_kinds() -> None:
    assert known_metrics()["refusal.delta"].name == "number"
    assert known_metrics()["rtsi.risk"].order == ("LOW", "MODERATE", "HIGH")
    assert known_metrics()["findings.max_severity"].order[:2] == ("none", "info")
    assert known_metrics()["rtsi.calibration"].name == "text"


def test_nearest_is_always_one_of_the_known() -> None:
    assert nearest("refusal.detla", known_metrics()) == "refusal.delta"
    assert nearest("⚠", ["a", "b"]) in ("a", "b")


def test_reads_each_member_and_the_unmeasured() -> None:
    metrics = Metrics(
        categories={"weapons": pair(5), "a.b": pair(0)}, unmeasured=("categories.hate", "suites.unseen")
    )
    found = {r.path: r.value for r in read("categories.*.delta", metrics, (), None)}
    assert found == {
        "categories.weapons.delta": -0.25,
        "categories.a.b.delta": 0.0,
        "categories.hate.delta": None,
    }
    members = {r.member for r in read("categories.*.delta", metrics, (), None)}
    assert members == {"weapons", "a.b", "hate"}


@pytest.mark.parametrize(
    "path",
    [
        "refusal.delta",
        "categories.*.delta",
        "categories.weapons.delta",
        "rtsi.risk",
        "quality.accuracy.delta_ci95.0",
    ],
)
def test_what_is_not_there_is_one_reading_without_value(path: str) -> None:
    (reading,) = read(path, Metrics(), (), None)
    assert (reading.path, reading.value) == (path, None)


def test_part_of_a_measure_may_be_missing() -> None:
    metrics = Metrics(quality=QualityMeasure(accuracy=Change(0.5, 0.5, 0.0, 10)))
    assert read("quality.accuracy.delta_ci95.0", metrics, (), None)[0].value is None
    assert read("quality.perplexity_ratio", metrics, (), None)[0].value is None
    reading = read("quality.accuracy.delta", metrics, (), None)[0]
    assert reading.value == 0.0
    assert isinstance(reading.outer, QualityMeasure)
    assert isinstance(reading.inner, Change)


def test_the_gravest_finding() -> None:
    def finding(severity: str) -> Finding:
        return Finding("QA1", severity, "t", "l", "e", "r")  # type: ignore[arg-type]

    assert max_severity([]) == "none"
    assert max_severity([finding("low"), finding("critical"), finding("info")]) == "critical"
