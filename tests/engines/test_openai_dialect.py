from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.engines.openai_dialect import FOREIGN, OPTIONAL, PENALTIES, TEMPLATE, Dialect
from qaudit.engines.protocol import Ask

ASK = Ask("1", "rendered", "third", 64, ("first", "second", "third"))


def test_a_request_is_greedy_and_holds_every_turn() -> None:
    body = Dialect().request("m", ASK)
    assert [m["content"] for m in body["messages"]] == ["first", "Okay.", "second", "Okay.", "third"]
    assert [m["role"] for m in body["messages"]] == ["user", "assistant"] * 2 + ["user"]
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"]) == ("m", 0, 1, 64)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert {name: body[name] for name in PENALTIES} == PENALTIES


def test_a_question_without_turns_is_one_turn() -> None:
    body = Dialect().request("m", Ask("1", "<|user|>why", "why", 1))
    assert body["messages"] == [{"role": "user", "content": "why"}]


@pytest.mark.parametrize(
    ("said", "simpler"),
    [
        ("Requested sample logprobs of 20, which is greater than max allowed: 5", Dialect(top_logprobs=5)),
        ("top_logprobs must be between 0 and 11", Dialect(top_logprobs=11)),
        ("logprobs is not supported for models created with logits_all=False", Dialect(top_logprobs=0)),
        ("`top_n_tokens` must be >= 0 and <= 5. Given: 20", Dialect(top_logprobs=5)),
        ("Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.", Dialect(limit_name="max_completion_tokens")),
        ("body.seed: Extra inputs are not permitted", Dialect(dropped=frozenset({"seed"}))),
        ("Unrecognized request argument supplied: chat_template_kwargs", Dialect(dropped=frozenset({TEMPLATE}))),
        ("'max_tokens' or 'max_completion_tokens' is too large: 128. This model's maximum context length is 64 tokens", None),
        ("enable_thinking must be true for this model", Dialect(dropped=frozenset({TEMPLATE}))),
        ("Extra inputs are not permitted", Dialect(dropped=FOREIGN)),
        ("Unrecognized request arguments supplied: repeat_penalty, repetition_penalty", Dialect(dropped=frozenset({"repeat_penalty", "repetition_penalty"}))),
        ("temperature must be 1", None),
        ("", None),
    ],
)  # fmt: skip
def test_refusals_of_real_servers(said: str, simpler: Dialect | None) -> None:
    assert Dialect().simpler(said) == simpler


def test_what_was_given_up_is_not_sent() -> None:
    body = Dialect(0, "max_completion_tokens", frozenset(OPTIONAL)).request("m", ASK)
    assert set(body) == {"model", "messages", "temperature", "top_p", "max_completion_tokens", "stream"}


@given(
    st.lists(
        st.sampled_from(
            ["top_logprobs <= 19", "logprob 5", "seed", "max_completion_tokens", "enable_thinking"]
        ),
        max_size=60,
    )
)
def test_it_ends(complaints: list[str]) -> None:
    dialect = Dialect()
    steps = 0
    for said in complaints:
        simpler = dialect.simpler(said)
        if simpler:
            assert simpler != dialect
            dialect = simpler
            steps += 1
    assert steps <= 12


def test_notes_say_what_is_missing() -> None:
    assert Dialect().notes == ()
    assert "first-token measures are absent" in Dialect(top_logprobs=0).notes[0]
    assert "the 5 likeliest" in replace(Dialect(), top_logprobs=5).notes[0]
    assert Dialect(dropped=frozenset({"seed", TEMPLATE})).notes == ("it takes no seed",)
    assert "a penalty of its own may change replies" in Dialect(dropped=FOREIGN).notes[0]
