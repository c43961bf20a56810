"""What engines share: prefixes, likeliest tokens, spread positions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qaudit.engines.replying import TOP, evenly_spaced, shared_prefix, top_tokens


def test_shared_prefix_leaves_each_prompt_a_token() -> None:
    assert shared_prefix([[1, 2, 3], [1, 2, 4], [1, 2, 3, 5]]) == 2
    assert shared_prefix([[1, 2], [1, 2, 3]]) == 1
    assert shared_prefix([[1, 2]]) == 0
    assert shared_prefix([]) == 0


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=2, max_size=6))
def test_shared_prefix_is_shared_and_the_longest(prompts: list[list[int]]) -> None:
    length = shared_prefix(prompts)
    assert len({tuple(p[:length]) for p in prompts}) == 1
    longer = {tuple(p[: length + 1]) for p in prompts}
    assert len(longer) > 1 or min(len(p) for p in prompts) == length + 1


def test_likeliest_tokens_first_and_ties_by_id() -> None:
    top = top_tokens(np.log(np.array([0.2, 0.25, 0.3, 0.25], np.float32)), "abcd".__getitem__)
    assert [(t.token, t.text) for t in top] == [(2, "c"), (1, "b"), (3, "d"), (0, "a")]
    assert np.isclose(top[0].logprob, np.log(0.3))


def test_no_more_tokens_than_asked_for() -> None:
    top = top_tokens(-np.arange(100, dtype=np.float32), str)
    assert [t.token for t in top] == list(range(TOP))
    assert [t.token for t in top_tokens(-np.arange(100, dtype=np.float32), str, 3)] == [0, 1, 2]


@given(st.integers(1, 3000), st.integers(-1, 4000))
def test_evenly_spaced(length: int, count: int) -> None:
    places = evenly_spaced(length, count)
    assert len(places) == max(1, min(count, length))
    assert places == sorted(set(places))
    assert places[0] == 0
    if len(places) > 1:
        gaps = np.diff(places)
        assert places[-1] == length - 1
        assert gaps.max() - gaps.min() <= 2
