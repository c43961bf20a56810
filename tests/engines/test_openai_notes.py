import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.engines.openai_dialect import OPTIONAL, TEMPLATE, Dialect
from qaudit.engines.openai_notes import Memory, Seen, understood, written
from qaudit.engines.openai_replies import ServerReply
from qaudit.errors import InputError
from qaudit.values import Reply

counts = st.integers(min_value=0, max_value=1 << 40)
memories = st.builds(
    Memory,
    st.builds(Seen, counts, counts, counts, counts, counts, st.sets(st.text(max_size=9), max_size=2)),
    st.builds(
        Dialect,
        st.integers(min_value=0, max_value=20),
        st.sampled_from(["max_tokens", "max_completion_tokens"]),
        st.frozensets(st.sampled_from(sorted(OPTIONAL))),
    ),
)


def reply(**fields: Any) -> ServerReply:
    told = {"filtered": False, "has_logprobs": True, "reasoned": False, "overlong": False, "fingerprint": ""}
    return ServerReply(Reply("1", "x", 1, "eos"), **{**told, **fields})


@given(memories)
def test_a_memory_survives_a_journal(memory: Memory) -> None:
    stored = json.dumps(written(memory), ensure_ascii=True, sort_keys=True)
    assert understood(json.loads(stored)) == memory


def test_replies_are_counted_and_told() -> None:
    seen = Seen()
    assert seen.notes(Dialect()) == []
    for fields in (
        {"filtered": True},
        {"reasoned": True, "fingerprint": "a"},
        {"overlong": True, "has_logprobs": False, "fingerprint": "b"},
        {"fingerprint": "c"},
    ):
        seen.take(reply(**fields))
    assert seen.notes(Dialect()) == [
        "1 of 4 replies were held back by its content filter and count as not answered",
        "1 of 4 replies came with reasoning, which is not part of the reply",
        "1 of 4 replies went on after the longest reply asked for",
        "1 of 4 replies came without log-probabilities",
        "it changed its system_fingerprint between replies: not all came from one set-up",
    ]
    assert seen.fingerprints == {"a", "b"}
    # where none were asked for, none are missed
    without = seen.notes(Dialect(top_logprobs=0))
    assert not any("came without log-probabilities" in line for line in without)
    assert "takes no request for log-probabilities" in without[0]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"seen": {}},
        {"seen": {"replies": "1"}, "dialect": {}},
        {"seen": {"replies": -1}, "dialect": {}},
        {"seen": {"fingerprints": ["a", "b", "c"]}, "dialect": {}},
        {"seen": {}, "dialect": {"dropped": [1]}},
        {"seen": [], "dialect": {"top_logprobs": 3, "dropped": [TEMPLATE]}},
    ],
)
def test_what_is_no_memory(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="run without --resume"):
        understood(values)
