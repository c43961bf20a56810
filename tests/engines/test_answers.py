from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.engines import answers
from qaudit.engines.protocol import Ask, ChoiceAsk, Conversation, PassageAsk
from qaudit.errors import EngineFailure

ASK = Ask("a", "text", "question", 8)
REPLY = {
    "id": "a",
    "text": "yes",
    "tokens": 1,
    "finish": "eos",
    "top": [{"token": 3, "text": "y", "logprob": -0.5}],
}
INFO = {"name": "n", "version": "v", "device": "cpu", "threads": 2, "build": "b"}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_an_honest_answer_is_taken_whole() -> None:
    row = np.zeros(5, np.float32)
    answer = answers.answer({"reply": REPLY}, row, ASK, 5)
    assert (answer.reply.id, answer.reply.text, answer.reply.finish) == ("a", "yes", "eos")
    assert answer.reply.top[0].logprob == -0.5
    assert answer.first_logprobs is row
    assert answers.answer({"reply": {**REPLY, "finish": "too_long"}}, None, ASK, 5).first_logprobs is None


def test_an_id_that_cannot_travel_is_still_its_own() -> None:
    asked = Ask("\ud800", "", "", 8)
    assert answers.answer({"reply": {**REPLY, "id": "?"}}, None, asked, 5).reply.id == "\ud800"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "b"}, {"id": None}, {"text": 1}, {"tokens": 9}, {"tokens": -1}, {"tokens": True},
        {"tokens": 1.0}, {"finish": "done"}, {"finish": []}, {"top": {}}, {"top": [1]},
        {"top": [{"token": -1, "text": "", "logprob": 0}]},
        {"top": [{"token": 1, "text": "", "logprob": "0"}]},
        {"top": [{"token": 1, "text": "", "logprob": 10**400}]},
    ],
)  # fmt: skip
def test_a_reply_of_another_shape_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(EngineFailure, match="the worker sent"):
        answers.answer({"reply": {**REPLY, **change}}, None, ASK, 5)


def test_a_distribution_over_another_vocabulary_is_refused() -> None:
    for shape in ((4,), (6,), (1, 5), (0,)):
        with pytest.raises(EngineFailure, match="vocabulary"):
            answers.answer({"reply": REPLY}, np.zeros(shape, np.float32), ASK, 5)


def test_loaded_is_shown_on_one_line() -> None:
    info, vocabulary = answers.loaded(
        {"info": {**INFO, "build": "a\n\x1b[31mb" + "x" * 900}, "vocabulary": 600}
    )
    assert vocabulary == 600
    assert info.build.startswith("a [31mb")
    assert len(info.build) <= 500
    for wrong in (
        {"info": INFO},
        {"vocabulary": 3},
        {"info": {}, "vocabulary": 3},
        {"info": INFO, "vocabulary": 1 << 40},
    ):
        with pytest.raises(EngineFailure):
            answers.loaded(wrong)


def test_renderings_belong_to_their_conversations() -> None:
    conversations = [Conversation("1", ("x",)), Conversation("2", ("y",))]
    items = [{"id": "1", "text": "a", "error": None}, {"id": "2", "text": "", "error": "no\ngood"}]
    done = answers.rendered({"items": items}, conversations)
    assert [(r.id, r.text, r.error) for r in done] == [("1", "a", None), ("2", "", "no good")]
    for wrong in (items[:1], items[::-1], [1, 2], [{**items[0], "error": 3}, items[1]], None):
        with pytest.raises(EngineFailure):
            answers.rendered({"items": wrong}, conversations)


def test_choices_are_as_many_as_were_asked() -> None:
    ask = ChoiceAsk("q", "text", ("a", "b"))
    score = answers.choice({"id": "q", "logprobs": [-1.5, float("-inf")], "tokens": [1, 2]}, ask)
    assert score.logprobs == (-1.5, float("-inf"))
    for logprobs, tokens in (
        ([-1.0], [1, 1]),
        ([-1.0, -1.0], [1]),
        ([None, 0.0], [1, 1]),
        ([0.0, 0.0], [1, -1]),
    ):
        with pytest.raises(EngineFailure):
            answers.choice({"id": "q", "logprobs": logprobs, "tokens": tokens}, ask)


def test_a_passage_has_tokens_and_no_more_distributions_than_asked() -> None:
    ask, tokens, rows = PassageAsk("p", "text", 2), np.zeros(3, np.float32), np.zeros((2, 5), np.float32)
    assert answers.passage({"id": "p"}, tokens, rows, ask, 5).logprobs is rows
    wrong = [(None, rows), (tokens[:0], rows), (rows, rows), (tokens, None), (tokens, tokens)]
    wrong += [(tokens, rows[:, :4]), (tokens, np.zeros((3, 5), np.float32))]
    for token_logprobs, logprobs in wrong:
        with pytest.raises(EngineFailure):
            answers.passage({"id": "p"}, token_logprobs, logprobs, ask, 5)


def test_the_first_open_question_is_named() -> None:
    answers.require_all(["a", "b"], 2)
    with pytest.raises(EngineFailure, match="left 2 questions open, the first is b"):
        answers.require_all(["a", "b", "c"], 1)


@given(
    st.dictionaries(
        st.sampled_from(["id", "reply", "info", "vocabulary", "items", "index", "logprobs"]), json_values
    )
)
def test_any_header_is_a_value_or_an_engine_failure(header: dict[str, object]) -> None:
    for read in (
        lambda: answers.loaded(header),
        lambda: answers.rendered(header, [Conversation("", ("x",))]),
        lambda: answers.answer_index(header, 3),
        lambda: answers.answer(header, None, ASK, 5),
        lambda: answers.choice(header, ChoiceAsk("", "", ("a",))),
        lambda: answers.passage(
            header, np.zeros(1, np.float32), np.zeros((1, 5), np.float32), PassageAsk("", "", 1), 5
        ),
    ):
        with suppress(EngineFailure):
            assert read() is not None


@given(st.text())
def test_one_line_is_printable_and_short(text: str) -> None:
    line = answers.one_line(text, 20)
    assert len(line) <= 20
    assert line.isprintable()
