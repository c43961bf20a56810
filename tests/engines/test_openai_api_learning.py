"""What the engine learns of a server while it asks: what it takes, and what a report should say of it."""

import json
import time

import pytest
from engines.served_asks import asks, engine_on, finishes
from odd_server import (
    Handler,
    OddServer,
    completion,
    raw,
    refuse,
    say,
)

from qaudit.engines.openai_dialect import PENALTIES
from qaudit.errors import InputError


def picky(handler: Handler) -> None:
    """Refuse one parameter after another, as four different servers would."""
    body = handler.body
    if body.get("top_logprobs", 0) > 5:
        refuse(400, "Requested sample logprobs of 20, which is greater than max allowed: 5")(handler)
    elif "max_tokens" in body:
        refuse(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")(handler)
    elif "chat_template_kwargs" in body:
        refuse(422, "Extra inputs are not permitted: chat_template_kwargs")(handler)
    elif "seed" in body:
        refuse(400, "seed: unknown field")(handler)
    else:
        say("fine")(handler)


def test_what_a_server_does_not_take_is_learnt_once(odd: OddServer) -> None:
    odd.acts = {f"q{i}": [picky] for i in range(10)}
    engine = engine_on(odd, concurrency=1)
    answers = engine.generate(asks(*odd.acts))
    assert [a.reply.text for a in answers] == ["fine"] * 10
    assert len(odd.bodies) == 14
    assert set(odd.bodies[-1]) == {
        "model",
        "messages",
        "temperature",
        "top_p",
        "max_completion_tokens",
        "logprobs",
        "top_logprobs",
        "stream",
        *PENALTIES,
    }
    assert odd.bodies[-1]["top_logprobs"] == 5
    assert [note.removeprefix(f"{odd.url}: ") for note in engine.notes] == [
        "it gives the 5 likeliest tokens of a position, not 20",
        "it takes no seed",
        "10 of 10 replies came without log-probabilities",
    ]


def test_what_was_taken_once_is_not_given_up_for_one_prompt(odd: OddServer) -> None:
    odd.acts["b"] = [refuse(400, "unsupported prompt: it names a seed and repeat_penalty")]
    engine = engine_on(odd, concurrency=1)
    assert finishes(engine.generate(asks("a", "b", "c"))) == ["eos", "crashed", "eos"]
    assert odd.bodies[0].keys() == odd.bodies[-1].keys()


def test_prompts_under_way_learn_from_one_another(odd: OddServer) -> None:
    def refuse_logprobs(handler: Handler) -> None:
        time.sleep(0.05)
        act = refuse(400, "logprobs are off") if "logprobs" in handler.body else say("x")
        act(handler)

    odd.acts = {f"q{i}": [refuse_logprobs] for i in range(8)}
    engine = engine_on(odd, concurrency=8)
    assert finishes(engine.generate(asks(*odd.acts))) == ["eos"] * 8
    assert "takes no request for log-probabilities" in engine.notes[0]


def test_notes_of_replies(odd: OddServer) -> None:
    odd.acts["a"] = [say("", finish="content_filter")]
    odd.acts["b"] = [say("b", message={"reasoning_content": "hm"}, system_fingerprint="one")]
    odd.acts["c"] = [
        raw(
            json.dumps(
                {**completion("c"), "usage": {"completion_tokens": 999}, "system_fingerprint": "two"}
            ).encode()
        )
    ]
    engine = engine_on(odd)
    assert engine.notes == ()
    assert finishes(engine.generate(asks("a", "b", "c"))) == ["crashed", "eos", "eos"]
    said = "\n".join(engine.notes)
    assert "1 of 3 replies were held back by its content filter" in said
    assert "1 of 3 replies came with reasoning" in said
    assert "1 of 3 replies went on after the longest reply asked for" in said
    assert "changed its system_fingerprint" in said


def test_what_was_seen_and_learnt_is_handed_on_to_the_next_engine(odd: OddServer) -> None:
    odd.acts = {"a": [picky], "b": [say("b", message={"reasoning_content": "hm"})]}
    first = engine_on(odd, concurrency=1)
    first.generate(asks("a", "b"))
    second = engine_on(odd, concurrency=1)
    second.recall(json.loads(json.dumps(first.memory)))
    assert second.notes == first.notes
    asked = len(odd.bodies)
    second.generate(asks("a"))
    # asked as the first one came to ask, with no refusal on the way
    assert len(odd.bodies) == asked + 1
    assert "seed" not in odd.bodies[-1]
    said = "\n".join(second.notes)
    assert "1 of 3 replies came with reasoning" in said
    assert "3 of 3 replies came without log-probabilities" in said


def test_what_its_own_options_leave_out_stays_out(odd: OddServer) -> None:
    thinking = engine_on(odd, thinking=True)
    thinking.recall(engine_on(odd).memory)
    thinking.generate(asks("q"))
    assert "chat_template_kwargs" not in odd.bodies[-1]


def test_a_memory_that_is_none_is_refused(odd: OddServer) -> None:
    with pytest.raises(InputError, match="run without --resume"):
        engine_on(odd).recall({"seen": 1})
