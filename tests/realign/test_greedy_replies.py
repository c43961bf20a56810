"""Replies and texts of a model's own, against the same made one token at a time."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_llamas import VOCABULARY, prompts, tiny_llama  # noqa: E402

from qaudit.errors import InputError  # noqa: E402
from realign.greedy_replies import greedy_replies, own_texts  # noqa: E402


def one_at_a_time(
    model: object, prompt: tuple[int, ...], ends: frozenset[int], longest: int
) -> tuple[int, ...]:
    row = list(prompt)
    while len(row) < len(prompt) + longest:
        row.append(int(model(torch.tensor([row])).logits[0, -1].argmax()))  # type: ignore[operator]
        if row[-1] in ends:
            break
    return tuple(row[len(prompt) :])


def test_replies_are_those_of_each_prompt_alone_in_the_order_asked() -> None:
    model, asked = tiny_llama(0), prompts(1, 9)
    ends = frozenset({int(one_at_a_time(model, asked[0], frozenset(), 3)[2]), 2})
    replies = greedy_replies(model, asked, ends, 7)
    assert replies == [one_at_a_time(model, prompt, ends, 7) for prompt in asked]
    assert replies[0][-1] in ends
    assert len(replies[0]) <= 3
    assert len(set(replies)) > 1


def test_a_reply_is_cut_at_the_longest() -> None:
    assert [len(reply) for reply in greedy_replies(tiny_llama(0), prompts(1, 3), frozenset(), 4)] == [4, 4, 4]


def test_no_prompts_are_refused() -> None:
    with pytest.raises(InputError):
        greedy_replies(tiny_llama(0), [], frozenset(), 4)


def test_texts_come_from_the_model_and_the_seed() -> None:
    model = tiny_llama(0, sharpness=3.0)
    ends = frozenset({2})
    texts = own_texts(model, (1,), ends, count=40, longest=6, seed=5)
    assert texts == own_texts(model, (1,), ends, count=40, longest=6, seed=5)
    assert texts != own_texts(model, (1,), ends, count=40, longest=6, seed=6)
    assert len(texts) == 40
    assert all(text[0] == 1 and len(text) <= 7 for text in texts)
    # an end token stands only at the end
    assert all(2 not in text[:-1] for text in texts)


def test_texts_follow_the_distribution() -> None:
    model = tiny_llama(0, sharpness=3.0)
    texts = own_texts(model, (1,), frozenset(), count=2000, longest=1, seed=1)
    counts = torch.bincount(torch.tensor([text[1] for text in texts]), minlength=VOCABULARY) / 2000
    meant = model(torch.tensor([[1]])).logits[0, -1].softmax(-1)
    assert float((counts - meant).abs().sum()) < 0.2
