"""Rows know where replies begin, and their teacher's logits are those of the teacher."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_llamas import tiny_llama  # noqa: E402

from realign.solvers.taught_rows import rows_of, texts_of  # noqa: E402

PROMPTS = [(1, 5, 6), (1, 7), (1, 8, 9, 10)]
REPLIES = [(11, 12), (13,), (14, 15, 2)]


def test_first_tokens_and_replies_are_where_they_are() -> None:
    (batch,) = rows_of("malicious", PROMPTS, REPLIES, 8)
    following = batch.rows.following[batch.rows.follows]
    # shortest first
    assert following[batch.firsts].tolist() == [13, 11, 14]
    assert following[batch.in_reply].tolist() == [13, 11, 12, 14, 15, 2]
    assert following.tolist() == [7, 13, 5, 6, 11, 12, 8, 9, 10, 14, 15, 2]


def test_texts_are_all_reply() -> None:
    (batch,) = texts_of([(1, 4, 5), (1, 6)], 8)
    assert bool(batch.in_reply.all())
    assert batch.rows.following[batch.rows.follows].tolist() == [6, 4, 5]


def test_what_is_taught_is_what_the_teacher_says_of_a_row_alone() -> None:
    teacher = tiny_llama(0)
    (batch,) = rows_of("benign", PROMPTS, REPLIES, 8)
    for _ in range(2):
        meant = [
            teacher(torch.tensor([[*prompt, *reply]])).logits[0, :-1]
            for prompt, reply in ((PROMPTS[i], REPLIES[i]) for i in (1, 0, 2))
        ]
        assert torch.allclose(batch.taught(teacher), torch.cat(meant), atol=1e-4)
