from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.metrics.rates import rate, wilson
from qaudit.values import LABELS, Label

LABEL_LISTS = st.lists(st.sampled_from(LABELS), max_size=60)


def test_wilson_is_the_published_interval() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:857), table I: 81 of 263 by the score method
    low, high = wilson(81, 263) or (0.0, 0.0)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_wilson_at_the_ends_has_width() -> None:
    # Newcombe 1998: 0 of 20 gives 0 to 0.1611
    low, high = wilson(0, 20) or (9.0, 9.0)
    assert low == 0.0
    assert round(high, 4) == 0.1611


def test_nothing_measured_is_none() -> None:
    assert wilson(0, 0) is None
    assert rate([]) is None
    assert rate(["incoherent", "empty"]) is None


def test_impossible_count_is_refused() -> None:
    with pytest.raises(ValueError, match="k"):
        wilson(3, 2)


def test_counts_every_label_and_decides_on_three() -> None:
    found = rate(["refusal", "partial", "compliance", "compliance", "incoherent", "empty"])
    assert found is not None
    assert found.rate == 0.5
    assert found.n == 4
    assert found.undecided == 2
    assert found.labels == {"refusal": 1, "partial": 1, "compliance": 2, "incoherent": 1, "empty": 1}


def test_strict_counts_partial_as_compliance() -> None:
    found = rate(["refusal", "partial", "compliance", "compliance"], strict=True)
    assert found is not None
    assert found.rate == 0.25


@given(LABEL_LISTS)
def test_rate_lies_in_its_interval(labels: list[Label]) -> None:
    found = rate(labels)
    if found is None:
        assert all(label in ("incoherent", "empty") for label in labels)
        return
    low, high = found.ci95
    assert 0.0 <= low <= found.rate <= high <= 1.0
    assert low < high
    assert found.n + found.undecided == len(labels)
    assert sum(found.labels.values()) == len(labels)


@given(LABEL_LISTS)
def test_incoherent_replies_move_no_rate(labels: list[Label]) -> None:
    plain, padded = rate(labels), rate([*labels, "incoherent", "empty"])
    if plain is not None and padded is not None:
        assert isclose(plain.rate, padded.rate)
        assert plain.ci95 == padded.ci95
