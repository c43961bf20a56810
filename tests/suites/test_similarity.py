"""Similarity: the measure's known values, and the fast search against the slow one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import at_most

from qaudit.suites.similarity import features, normalise, similar_pairs, similarity

WORDS = "one two three four five six seven eight nine ten eleven twelve"


def test_normalisation_drops_case_marks_and_spaces() -> None:
    assert normalise("  Hello,\tWORLD! ﬁne－x_y ") == "hello world fine x y"
    assert normalise("...") == ""


def test_known_similarities() -> None:
    whole = features(WORDS)
    assert similarity(whole, features(WORDS.upper() + "!")) == 1.0
    # 12 words and 11 pairs; one word changed in the middle costs 1 word and 2 pairs on each side
    assert similarity(whole, features(WORDS.replace("six", "sechs"))) == pytest.approx(20 / 26)
    assert similarity(features("a b"), features("b a")) == pytest.approx(2 / 4)
    assert similarity(whole, features("other words")) == 0.0
    assert similarity(features(""), features("")) == 0.0


@given(
    st.lists(st.frozensets(st.sampled_from("abcdefgh"), max_size=8), max_size=14),
    st.sampled_from([0.1, 0.25, 0.5, 0.6, 0.7, 0.75, 0.9, 1.0]),
)
def test_the_search_finds_just_what_comparing_all_finds(sets: list[frozenset[str]], threshold: float) -> None:
    every = {
        (i, j): similarity(sets[i], sets[j])
        for j in range(len(sets))
        for i in range(j)
        if similarity(sets[i], sets[j]) >= threshold
    }
    found = list(similar_pairs(sets, threshold))
    assert {(i, j): alike for i, j, alike in found} == every
    assert len(found) == len(every)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        list(similar_pairs([frozenset("a")], threshold))


def test_thousands_of_prompts_take_no_time() -> None:
    # four thousand prompts of 12 words from a Zipf-like vocabulary; comparing all takes 8 million steps
    texts = [
        " ".join(f"w{(n * 2_654_435_761 >> (k + 3)) % (3 + 40 * k)}" for k in range(12)) for n in range(4_000)
    ]
    sets = [features(text) for text in texts]
    with at_most(5.0):
        list(similar_pairs(sets, 0.75))
