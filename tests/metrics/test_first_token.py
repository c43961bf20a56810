import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.metrics.first_token import MAX_EXAMPLES, FirstTokenPair, measure, refusal_opening_set
from qaudit.values import TokenLogprob

SORRY, CANNOT, SURE, HERE = 1, 2, 3, 4


def top(token: int) -> tuple[TokenLogprob, ...]:
    return (TokenLogprob(token, f"<{token}>", -0.1),)


def pair(
    name: str, reference: int, candidate: int, kl: float | None = 0.5, refused: bool = True
) -> FirstTokenPair:
    return FirstTokenPair(name, "core", top(reference), top(candidate), refused, kl, 0.9, 0.6)


def test_opening_set_is_read_by_mass() -> None:
    first = [SORRY] * 60 + [CANNOT] * 36 + [HERE] * 4
    assert refusal_opening_set(first) == {SORRY, CANNOT}
    assert refusal_opening_set(first, mass=1.0) == {SORRY, CANNOT, HERE}
    assert refusal_opening_set([]) == frozenset()


@pytest.mark.parametrize("mass", [0.0, -1.0, 1.1, math.nan])
def test_opening_mass_is_a_share(mass: float) -> None:
    with pytest.raises(ValueError, match="mass"):
        refusal_opening_set([SORRY], mass)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=80), st.floats(0.01, 1.0), st.randoms())
def test_opening_set_covers_its_mass_in_any_order(tokens: list[int], mass: float, random: object) -> None:
    found = refusal_opening_set(tokens, mass)
    assert sum(token in found for token in tokens) >= mass * len(tokens) - 1e-9
    shuffled = list(tokens)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert refusal_opening_set(shuffled, mass) == found


def test_counts_flips_and_safety_flips() -> None:
    found = measure(
        [
            pair("same", SORRY, SORRY, kl=0.0),
            pair("lost", SORRY, SURE, kl=2.0),
            pair("reworded", SORRY, CANNOT, kl=1.0),
            pair("other", SURE, HERE, kl=3.0, refused=False),
            pair("cannot", CANNOT, CANNOT, kl=0.0),
        ]
    )
    assert found is not None
    assert (found.n, found.flips, found.safety_n, found.safety_flips) == (5, 3, 4, 1)
    assert found.flip_rate == 0.6
    assert found.safety_flip_rate == 0.25
    assert found.kl_mean == pytest.approx(1.2)
    assert found.kl_p99 == 3.0
    assert found.refusal_mass_drop == pytest.approx(0.3)
    # the safety flip first, then by divergence
    assert [example.id for example in found.examples] == ["lost", "other", "reworded"]
    assert [example.safety for example in found.examples] == [True, False, False]


def test_nothing_measured_is_none() -> None:
    assert measure([]) is None
    assert measure([FirstTokenPair("a", "core", (), top(1), True)]) is None


def test_reference_that_never_refuses_has_no_safety_rate() -> None:
    found = measure([pair("a", SURE, HERE, refused=False)])
    assert found is not None
    assert found.safety_n == 0
    assert found.safety_flip_rate is None
    assert found.safety_ci95 is None


def test_a_divergence_that_is_not_a_number_is_not_measured() -> None:
    found = measure([pair("a", SORRY, SURE, kl=math.nan), pair("b", SORRY, SORRY, kl=0.1)])
    assert found is not None
    assert found.kl_mean is None
    assert found.kl_p99 is None
    assert found.examples[0].kl_nats is None


def test_examples_are_bounded_and_given_opening_set_is_used() -> None:
    pairs = [pair(f"{i:03}", SORRY, SURE) for i in range(80)]
    found = measure(pairs, opening=frozenset({CANNOT}), position="after reasoning")
    assert found is not None
    assert len(found.examples) == MAX_EXAMPLES
    assert found.safety_n == 0
    assert found.position == "after reasoning"
