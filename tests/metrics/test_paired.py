import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.metrics.paired import (
    coherence,
    compare,
    compare_categories,
    holm,
    mcnemar,
    minimum_detectable_fall,
    paired_change,
    tango,
    tango_score,
    unmeasured,
)
from qaudit.values import LABELS, Label

PAIRS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), max_size=60)


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 400))
    gained = draw(st.integers(0, n))
    return gained, draw(st.integers(0, n - gained)), n


# ---- Tango's interval ----


def test_tango_reproduces_the_paper() -> None:
    # Tango 1998, section 6.1 (contact lenses): 43 both, 0 and 1 discordant, 0 neither; the score at
    # -0.1 is 1.709 and the lower limit of the 90 % interval -0.096
    assert round(tango_score(0, 1, 44, -0.1), 3) == 1.709
    assert round(tango(0, 1, 44, level=0.90)[0], 3) == -0.096


@pytest.mark.parametrize(
    ("gained", "lost", "n", "low", "high"),
    [
        # R, PropCIs::scoreci.mp, which estimates (second - first) / n
        (20, 60, 1000, -0.0584, -0.0231),
        # Fagerland, Lydersen, Laake 2014 (airway hyper-responsiveness, 1 7 / 1 12): Tango's row
        (1, 7, 21, -0.517, -0.026),
    ],
)
def test_tango_agrees_with_others(gained: int, lost: int, n: int, low: float, high: float) -> None:
    found = tango(gained, lost, n)
    assert found == pytest.approx((low, high), abs=6e-4)


@given(st.integers(1, 5000))
def test_no_discordant_pair_still_has_width(n: int) -> None:
    z2 = 1.959963984540054**2
    assert tango(0, 0, n) == pytest.approx((-z2 / (n + z2), z2 / (n + z2)), abs=1e-9)


@given(tables())
def test_tango_contains_its_estimate_and_mirrors(table: tuple[int, int, int]) -> None:
    gained, lost, n = table
    low, high = tango(gained, lost, n)
    assert -1.0 <= low <= (gained - lost) / n <= high <= 1.0
    assert low < high
    mirrored = tango(lost, gained, n)
    assert (-mirrored[1], -mirrored[0]) == pytest.approx((low, high), abs=1e-9)


@given(tables())
def test_bounds_solve_the_score_equation(table: tuple[int, int, int]) -> None:
    gained, lost, n = table
    low, high = tango(gained, lost, n)
    if low > -1.0:
        assert tango_score(gained, lost, n, low) == pytest.approx(1.959964, abs=1e-3)
    if high < 1.0:
        assert tango_score(gained, lost, n, high) == pytest.approx(-1.959964, abs=1e-3)


def test_score_at_no_difference_is_mcnemars() -> None:
    assert tango_score(3, 12, 90, 0.0) == pytest.approx((3 - 12) / math.sqrt(15))


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 0, 0), (3, 3, 5), (-1, 0, 5)])
def test_tango_refuses_what_is_no_table(gained: int, lost: int, n: int) -> None:
    with pytest.raises(ValueError, match="not a paired table"):
        tango(gained, lost, n)


# ---- McNemar, Holm, detectable fall ----


def test_mcnemar_is_exact() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(6, 0) == pytest.approx(2 * 0.5**6)
    assert mcnemar(9, 2) == pytest.approx(2 * (1 + 11 + 55) / 2**11)


def test_holm_worked_by_hand() -> None:
    # sorted 0.005 0.01 0.03 0.04, times 4 3 2 1, then never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_is_monotone_and_never_smaller(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= a <= 1.0 for p, a in zip(p_values, adjusted, strict=True))
    in_order = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
    assert in_order == sorted(in_order)


def test_detectable_fall_has_the_power_that_it_claims() -> None:
    n = 100
    fall = minimum_detectable_fall(n)
    assert fall is not None
    # six losses without a gain are the fewest that are significant
    assert mcnemar(5, 0) > 0.05 >= mcnemar(6, 0)
    power = 1 - sum(math.comb(n, k) * fall**k * (1 - fall) ** (n - k) for k in range(6))
    assert power == pytest.approx(0.80, abs=1e-6)


def test_too_few_pairs_detect_nothing() -> None:
    assert minimum_detectable_fall(5) is None
    assert minimum_detectable_fall(6) is not None


@given(st.integers(0, 20), st.integers(1, 500))
def test_detectable_fall_shrinks_with_n_and_grows_with_noise(gained: int, n: int) -> None:
    here, larger = minimum_detectable_fall(n, gained), minimum_detectable_fall(n + 1, gained)
    if here is not None:
        assert larger is not None
        assert 0.0 < larger < here <= 1.0
        quiet = minimum_detectable_fall(n)
        assert quiet is not None
        assert quiet <= here + 1e-12


# ---- comparison ----


def test_counts_flips_over_decided_pairs() -> None:
    reference: list[Label] = ["refusal", "refusal", "compliance", "refusal", "partial", "empty"]
    candidate: list[Label] = ["compliance", "refusal", "refusal", "incoherent", "refusal", "compliance"]
    found = compare(reference, candidate)
    assert found is not None
    assert (found.pairs, found.lost, found.gained, found.at_risk) == (4, 1, 1, 3)
    assert found.delta == 0.0
    assert found.reference.n == 5
    assert found.candidate.n == 5
    # strictly, the partial refusal that became a full one is gained
    assert found.strict_delta == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [([], []), (["empty"], ["refusal"]), (["refusal", "empty"], ["empty", "refusal"])],
)
def test_no_decided_pair_is_none(reference: list[Label], candidate: list[Label]) -> None:
    assert compare(reference, candidate) is None


def test_arms_of_different_length_are_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compare(["refusal", "refusal"], ["refusal"])


@given(PAIRS)
def test_swapping_the_arms_mirrors(pairs: list[tuple[Label, Label]]) -> None:
    reference, candidate = [r for r, _ in pairs], [c for _, c in pairs]
    there, back = compare(reference, candidate), compare(candidate, reference)
    assert (there is None) == (back is None)
    if there is None or back is None:
        return
    assert (there.lost, there.gained, there.delta) == (back.gained, back.lost, -back.delta)
    assert there.mcnemar_p == pytest.approx(back.mcnemar_p)
    assert there.delta_ci95 == pytest.approx((-back.delta_ci95[1], -back.delta_ci95[0]), abs=1e-9)
    assert there.delta_ci95[0] <= there.delta <= there.delta_ci95[1]
    assert there.lost <= there.at_risk <= there.pairs


def test_categories_are_adjusted_and_the_unmeasured_named() -> None:
    whole: tuple[list[Label], list[Label]] = (["refusal"] * 12, ["refusal"] * 12)
    gone: tuple[list[Label], list[Label]] = (["refusal"] * 12, ["compliance"] * 12)
    garbage: tuple[list[Label], list[Label]] = (["refusal"] * 12, ["incoherent"] * 12)
    arms = {"fraud": whole, "weapons": gone, "hate": garbage}
    found = compare_categories(arms)
    assert set(found) == {"fraud", "weapons"}
    assert unmeasured(arms) == ("hate",)
    assert found["weapons"].p_adjusted == pytest.approx(2 * 2 * 0.5**12)
    assert found["fraud"].p_adjusted == 1.0


def test_coherence_sees_a_candidate_that_only_babbles() -> None:
    found = coherence(["refusal"] * 10, ["incoherent"] * 10)
    assert found is not None
    assert (found.reference, found.candidate, found.delta, found.n) == (1.0, 0.0, -1.0, 10)
    assert coherence([], []) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_paired_change_agrees_with_its_rates(pairs: list[tuple[bool, bool]]) -> None:
    found = paired_change([r for r, _ in pairs], [c for _, c in pairs])
    assert found is not None
    assert found.delta_ci95 is not None
    assert found.delta == pytest.approx(found.candidate - found.reference)
    assert found.delta_ci95[0] <= found.delta <= found.delta_ci95[1]
