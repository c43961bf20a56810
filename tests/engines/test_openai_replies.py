import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_server import completion

from qaudit.engines.openai_replies import (
    BadReply,
    complaint,
    is_too_long,
    model_ids,
    parsed,
    server_reply,
)
from qaudit.engines.protocol import Ask

ASK = Ask("suite/1", "", "why", 8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "message", "content", "logprobs", "top_logprobs", "token", "logprob", "bytes", "usage",
             "completion_tokens", "finish_reason", "reasoning_content", "error", "detail", "msg", "loc", "data", "id",
             "completion_tokens_details", "reasoning_tokens", "refusal", "text"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


def position(token: str, logprob: object = -0.5, top: object = (), raw: object = None) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "top_logprobs": top, "bytes": raw}


def with_positions(text: str, *positions: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    return completion(text, finish, logprobs={"content": list(positions)})


@pytest.mark.parametrize(
    ("told", "finish"),
    [
        ("stop", "eos"),
        ("eos_token", "eos"),
        ("length", "length"),
        ("tool_calls", "eos"),
        (None, "eos"),
        (7, "eos"),
    ],
)
def test_finish(told: Any, finish: str) -> None:
    assert server_reply(completion("I cannot", told), ASK).reply.finish == finish


def test_a_full_reply_without_a_reason_ended_by_length() -> None:
    assert server_reply(completion("a b c d e f g h", "no such"), ASK).reply.finish == "length"


@pytest.mark.parametrize("told", ["abort", "error"])
def test_a_reply_that_was_broken_off_is_none(told: str) -> None:
    with pytest.raises(BadReply, match="broke the reply off"):
        server_reply(completion("I can", told), ASK)


def test_a_filtered_reply_says_so() -> None:
    assert server_reply(completion("", "content_filter"), ASK).filtered


def test_control_characters_are_kept_and_half_surrogates_are_not() -> None:
    body = json.dumps(completion("a\x1b[31m\x00\n")).replace("\\n", "\\n\\ud800")
    assert server_reply(parsed(body.encode()), ASK).reply.text == "a\x1b[31m\x00\n?"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_no_part_of_the_reply(field: str) -> None:
    fields = with_positions("No.", position("<think>"), position("hm"), position("No."))
    fields["choices"][0]["message"][field] = "hm"
    fields["usage"] = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}
    found = server_reply(fields, ASK)
    assert found.reasoned
    assert (found.reply.text, found.reply.tokens, found.reply.top) == ("No.", 2, ())


def test_reasoning_that_never_ended_leaves_an_empty_reply() -> None:
    found = server_reply(completion(None, "length", message={"reasoning_content": "hm"}), ASK)
    assert (found.reply.text, found.reply.finish) == ("", "length")


def test_a_refusal_in_a_field_of_its_own_is_the_text() -> None:
    assert server_reply(completion(None, message={"refusal": "I will not."}), ASK).reply.text == "I will not."


def test_content_in_parts() -> None:
    fields = completion("")
    fields["choices"][0]["message"]["content"] = [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
        3,
    ]
    assert server_reply(fields, ASK).reply.text == "ab"


@pytest.mark.parametrize(
    ("tokens", "finish", "count"),
    [
        (["I", " see"], "stop", 2),
        (["I", " see", "<|im_end|>"], "stop", 2),
        (["I", " see", ""], "stop", 2),
        (["I", " see"], "length", 2),
        (["I", " s", "ee"], "stop", 3),
    ],
)
def test_tokens_are_counted_without_the_end_token(tokens: list[str], finish: str, count: int) -> None:
    fields = with_positions("I see", *(position(t) for t in tokens), finish=finish)
    assert server_reply(fields, ASK).reply.tokens == count


@pytest.mark.parametrize(
    ("usage", "count"),
    [({"completion_tokens": 5}, 5), (None, 1), ({"completion_tokens": True}, 1), ({"completion_tokens": -4}, 1),
     ({"completion_tokens": 1 << 70}, 1), ({"completion_tokens": "5"}, 1), ([], 1)],
)  # fmt: skip
def test_tokens_from_usage(usage: object, count: int) -> None:
    assert server_reply({**completion("I see"), "usage": usage}, ASK).reply.tokens == count


def test_the_likeliest_tokens_of_the_first_position() -> None:
    listed = [
        {"token": "B", "logprob": -2.0},
        {"token": "A", "logprob": -0.1, "bytes": [0xC3]},
        {"token": "C", "logprob": 1e-7},
    ]
    reply = server_reply(with_positions("x", position("C", top=listed), position("D")), ASK).reply
    assert [(t.token, t.text, t.logprob) for t in reply.top] == [
        (-1, "C", 0.0),
        (-1, "�", -0.1),
        (-1, "B", -2.0),
    ]


def test_no_more_than_twenty_and_the_best_of_two_equal_texts() -> None:
    listed = [{"token": f"t{i % 30}", "logprob": -float(i)} for i in range(60)]
    top = server_reply(with_positions("x", position("t0", top=listed)), ASK).reply.top
    assert [t.logprob for t in top] == [-float(i) for i in range(20)]


def test_a_server_with_one_token_a_position() -> None:
    assert [t.text for t in server_reply(with_positions("x", position("x")), ASK).reply.top] == ["x"]


@pytest.mark.parametrize(
    "value", ["NaN", "-Infinity", "Infinity", "0.5", '"-1"', "true", "null", "1" * 400, "-" + "1" * 400]
)
def test_numbers_that_are_no_probabilities_lose_the_distribution_not_the_text(value: str) -> None:
    fields = with_positions("fine", position("fine", top=[{"token": "fine", "logprob": "HERE"}]))
    reply = server_reply(parsed(json.dumps(fields).replace('"HERE"', value).encode()), ASK).reply
    assert (reply.text, reply.top) == ("fine", ())


def test_a_server_that_does_not_stop_is_told_apart_and_cut() -> None:
    found = server_reply({**completion("a" * 100_000), "usage": {"completion_tokens": 20_000}}, ASK)
    assert found.overlong
    assert len(found.reply.text) == 9 * 256


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b'{"choices": ['],
)  # fmt: skip
def test_what_is_no_object_is_a_bad_reply(body: bytes) -> None:
    with pytest.raises(BadReply, match="JSON"):
        parsed(body)


@given(JSON)
def test_any_json_is_a_reply_or_a_bad_reply(value: object) -> None:
    fields = (
        value if isinstance(value, dict) else {"choices": [{"message": {"content": "x"}, "logprobs": value}]}
    )
    try:
        found = server_reply(fields, ASK)
    except BadReply:
        return
    assert all(math.isfinite(t.logprob) and t.logprob <= 0 for t in found.reply.top)
    assert 0 <= found.reply.tokens < 1 << 31
    found.reply.text.encode()


@given(JSON, st.binary(max_size=20))
def test_any_error_body_is_one_line(value: object, raw: bytes) -> None:
    for body in (json.dumps(value).encode(), json.dumps({"error": value}).encode(), raw):
        said = complaint(body)
        assert said.isprintable()
        assert len(said) <= 300


@given(JSON)
def test_any_list_of_models_is_one_or_a_bad_reply(value: object) -> None:
    try:
        ids, _ = model_ids({"data": value})
    except BadReply:
        return
    assert all(isinstance(name, str) and name for name in ids)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "no such\nmodel\x1b"}}, "no such model"),
        ({"error": "plain"}, "plain"),
        ({"message": "vllm says", "object": "error"}, "vllm says"),
        ({"detail": "Not Found"}, "Not Found"),
        (
            {"detail": [{"loc": ["body", "seed"], "msg": "extra", "input": "secret prompt"}]},
            "body.seed: extra",
        ),
        ({"error": {"code": 3}}, ""),
    ],
)
def test_what_a_server_says_is_wrong(body: object, said: str) -> None:
    assert complaint(json.dumps(body).encode()) == said


@pytest.mark.parametrize(
    ("said", "too_long"),
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens", True),
        ("the request exceeds the available context size, try increasing it", True),
        ("Requested tokens (900) exceed context window of 512", True),
        ("`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000", True),
        ("'temperature' does not support 0 with this model", False),
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", False),
    ],
)  # fmt: skip
def test_what_means_too_long(said: str, too_long: bool) -> None:
    assert is_too_long(said) is too_long
