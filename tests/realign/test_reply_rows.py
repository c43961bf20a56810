"""Padded rows: nothing depends on the padding, and what is counted is the reply alone."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from tiny_llamas import prompts, tiny_llama  # noqa: E402

from realign.reply_rows import (  # noqa: E402
    logits_where,
    packed,
    reply_log_probabilities,
    reply_rows,
    unpacked,
)

ROWS = st.lists(st.lists(st.integers(0, 2**40), max_size=6).map(tuple), max_size=8)


def test_log_probabilities_are_the_sum_over_the_reply() -> None:
    model = tiny_llama(0, sharpness=2.0)
    asked, replies = prompts(1, 4), [(7, 8, 9, 2), (5,), (6, 2), (40, 41, 42)]
    rows = reply_rows(asked, replies)
    got = reply_log_probabilities(logits_where(model, rows, rows.replies), rows)
    for number, (prompt, reply) in enumerate(zip(asked, replies, strict=True)):
        logits = model(torch.tensor([[*prompt, *reply]])).logits[0].log_softmax(-1)
        meant = sum(float(logits[len(prompt) - 1 + at, token]) for at, token in enumerate(reply))
        assert float(got[number]) == pytest.approx(meant, rel=1e-4)


def test_places_say_whose_the_next_token_is() -> None:
    rows = reply_rows([(1, 2, 3), (1,)], [(4,), (5, 6)])
    assert rows.ids.tolist() == [[1, 2, 3, 4], [1, 5, 6, 0]]
    assert rows.follows.tolist() == [[True, True, True], [True, True, False]]
    assert rows.replies.tolist() == [[False, False, True], [True, True, False]]
    assert rows.following.tolist() == [[2, 3, 4], [5, 6, 0]]


def test_a_text_has_no_reply() -> None:
    rows = reply_rows([(1, 2, 3)], [()])
    assert not rows.replies.any()
    assert rows.follows.all()


def test_gradients_reach_the_logits_of_the_reply_only() -> None:
    rows = reply_rows([(1, 2, 3), (1,)], [(4,), (5, 6)])
    logits = torch.randn(3, 9, generator=torch.Generator().manual_seed(1), requires_grad=True)
    reply_log_probabilities(logits, rows)[0].backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert [bool(row.any()) for row in logits.grad] == [True, False, False]


@given(ROWS)
def test_rows_of_any_length_come_back(rows: list[tuple[int, ...]]) -> None:
    assert unpacked(*packed(rows)) == rows
