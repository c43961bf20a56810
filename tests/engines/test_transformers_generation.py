"""The batched engine against the plainest loop there is: one prompt, no padding, no cache, no prefix."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hf_folders import FAMILIES, write_folder
from transformers import AutoModelForCausalLM, PreTrainedModel

from qaudit.engines import transformers_generation
from qaudit.engines.logprobs import log_softmax
from qaudit.engines.protocol import Answer, Ask, EngineOptions
from qaudit.engines.transformers_generation import GreedyBatches
from qaudit.engines.transformers_model import TransformersModel
from qaudit.lab.members import reference_folder
from qaudit.values import Label

OPTIONS = EngineOptions(
    threads=1, parallel=8, context_per_sequence=256, judge=None, device="cpu", dtype="float32"
)
VERBS = ("plant", "cook", "clean", "paint", "carry")
THINGS = ("a tree", "rice", "my room and the room of my sister and all the windows", "the fence", "two bags")
QUESTIONS = [f"how do i {verb} {thing}" for verb in VERBS for thing in THINGS]
# of log-probabilities in float32, from sums in another order; measured 2e-5 on these
BOUND = 2e-4


def ask(question: str, max_tokens: int = 16) -> Ask:
    return Ask(question, f"<|bos|><|user|>{question}<|end|><|assistant|>", question, max_tokens)


def answers(model: TransformersModel, asks: list[Ask], decide: object = None) -> list[Answer]:
    found: dict[int, Answer] = {}
    GreedyBatches(model, asks, decide, found.__setitem__, lambda: None).run()  # type: ignore[arg-type]
    return [found[index] for index in range(len(asks))]


def plain(network: PreTrainedModel, model: TransformersModel, wanted: Ask) -> tuple[list[int], np.ndarray]:
    """Greedy without any trick: the whole text again for every token."""
    tokens = model.tokens.prompt(wanted.text)
    generated: list[int] = []
    first = None
    with torch.inference_mode():
        while len(generated) < wanted.max_tokens:
            logits = network(torch.tensor([tokens + generated]), use_cache=False).logits[0, -1]
            if first is None:
                first = log_softmax(logits.numpy())
            token = int(logits.argmax())
            if token in model.tokens.ends:
                break
            generated.append(token)
    assert first is not None
    return generated, first


@pytest.fixture(scope="module")
def lab() -> TransformersModel:
    return TransformersModel(reference_folder(), None, OPTIONS)


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_padding_and_prefix_change_no_result(family: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / family, family)
    model = TransformersModel(folder, None, OPTIONS)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    # lengths differ, so all but one are padded; the sliding windows are shorter than the prompts
    asks = [ask(q) for q in (*QUESTIONS[:6], "why", QUESTIONS[2] * 3)]
    assert len({len(model.tokens.prompt(a.text)) for a in asks}) > 3
    texts = set()
    for wanted, answer in zip(asks, answers(model, asks), strict=True):
        tokens, first = plain(network, model, wanted)
        assert answer.reply.text == model.tokens.text(tokens)
        assert answer.reply.tokens == len(tokens)
        assert answer.first_logprobs is not None
        np.testing.assert_allclose(answer.first_logprobs, first, atol=BOUND)
        texts.add(answer.reply.text)
    # a model that says one thing to everybody would prove nothing
    assert len(texts) > 3


def test_left_padding_alone_changes_no_result(lab: TransformersModel) -> None:
    tokens = lab.tokens.prompt(ask(QUESTIONS[0]).text)
    exact, _ = lab.evaluate([tokens], torch.ones((1, len(tokens)), dtype=torch.long), None)
    for padding in (1, 7, 100):
        mask = torch.cat([torch.zeros((1, padding)), torch.ones((1, len(tokens)))], dim=1).long()
        padded, _ = lab.evaluate([[5] * padding + tokens], mask, None)
        np.testing.assert_allclose(padded.numpy(), exact.numpy(), atol=BOUND)


def test_first_position_is_exact_over_the_whole_vocabulary(lab: TransformersModel) -> None:
    for answer in answers(lab, [ask(q, 1) for q in QUESTIONS[:5]]):
        assert answer.first_logprobs is not None
        assert answer.first_logprobs.shape == (lab.vocabulary,)
        assert np.isclose(np.exp(answer.first_logprobs.astype(np.float64)).sum(), 1.0, atol=1e-6)
        top = answer.reply.top
        assert [t.logprob for t in top] == sorted(answer.first_logprobs.tolist(), reverse=True)[:20]
        assert top[0].text == answer.reply.text


def test_one_at_a_time_gives_the_same_replies(lab: TransformersModel) -> None:
    asks = [ask(q, 40) for q in QUESTIONS]
    together = answers(lab, asks)
    alone = [answers(lab, [a])[0].reply for a in asks]
    assert [(r.text, r.tokens, r.finish) for r in alone] == [
        (a.reply.text, a.reply.tokens, a.reply.finish) for a in together
    ]


def test_the_same_call_gives_identical_bits(lab: TransformersModel) -> None:
    asks = [ask(q, 12) for q in QUESTIONS]
    for one, other in zip(answers(lab, asks), answers(lab, asks), strict=True):
        assert one.reply == other.reply
        assert one.first_logprobs is not None
        assert other.first_logprobs is not None
        assert one.first_logprobs.tobytes() == other.first_logprobs.tobytes()


def test_shared_prefix_is_evaluated_once(lab: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[tuple[int, int]] = []
    evaluate = TransformersModel.evaluate

    def counted(self: TransformersModel, tokens: list[list[int]], *args: object, **named: object) -> object:
        fed.append((len(tokens), len(tokens[0])))
        return evaluate(self, tokens, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(TransformersModel, "evaluate", counted)
    opening = "please tell me in plain words what you know and think about the question that i have now "
    asks = [ask(opening + q, 1) for q in QUESTIONS[:5]]
    answers(lab, asks)
    longest = max(len(lab.tokens.prompt(a.text)) for a in asks)
    assert fed[0][0] == 1
    assert fed[0][1] > 10
    assert fed[1:] == [(5, longest - fed[0][1])]


def test_long_prompts_go_in_smaller_batches(lab: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = answers(lab, [ask(q) for q in QUESTIONS])
    monkeypatch.setattr(transformers_generation, "MAX_PROMPT_TOKENS", 40)
    widths = [len(rows) * len(rows[0].prompt) for rows in GreedyBatches(
        lab, [ask(q) for q in QUESTIONS], None, lambda *_: None, lambda: None
    )._batches()]  # fmt: skip
    assert len(widths) > 4
    assert max(widths) <= 40
    assert [a.reply.text for a in answers(lab, [ask(q) for q in QUESTIONS])] == [a.reply.text for a in whole]


def test_limits(lab: TransformersModel) -> None:
    long, empty, fine = answers(lab, [ask("why " * 400), Ask("empty", "", "", 4), ask("why", 2)])
    assert (long.reply.finish, empty.reply.finish, fine.reply.finish) == ("too_long", "too_long", "length")
    assert long.first_logprobs is None
    assert fine.reply.tokens == 2


def test_early_stop_sees_question_text_and_count(lab: TransformersModel) -> None:
    seen: list[tuple[str, str, int]] = []

    def decide(question: str, text: str, count: int) -> Label | None:
        seen.append((question, text, count))
        return "refusal" if count == 16 else None

    asked = [ask(q, 64) for q in QUESTIONS[:3]]
    for answer in answers(lab, asked, decide):
        if answer.reply.finish == "decided":
            assert (answer.reply.id, answer.reply.text, 16) in seen
            assert answer.reply.tokens == 16
    assert {count for _, _, count in seen} <= {8, 16}
    assert seen


def test_replies_end_where_the_turn_does(lab: TransformersModel) -> None:
    replies = [a.reply for a in answers(lab, [ask(q, 120) for q in QUESTIONS])]
    ended = [r.text for r in replies if r.finish == "eos"]
    assert len(ended) > len(replies) // 2
    assert not any("<|end|>" in text for text in ended)


def test_a_recurrent_model_is_never_padded(lab: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "pads", False)
    run = GreedyBatches(lab, [ask(q) for q in QUESTIONS], None, lambda *_: None, lambda: None)
    assert all(len({len(row.prompt) for row in rows}) == 1 for rows in run._batches())
