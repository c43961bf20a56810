import pickle

import pytest

from qaudit.static.pickles.following import Follower
from qaudit.static.pickles.stand_ins import Allowance, as_latin
from qaudit.static.pickles.walk import PickleWalk
from qaudit.static.pickles.window import Held, Window


def follow(data: bytes, operations: int = 100_000) -> tuple[str, PickleWalk, Follower]:
    walk = PickleWalk("x", len(data))
    follower = Follower(Window(Held(data, "x"), 0), walk, Allowance(operations))
    return follower.run(), walk, follower


@pytest.mark.parametrize("protocol", range(6))
def test_honest_pickles_come_to_their_stop(protocol: int) -> None:
    value = {
        "text": ["a", "ü" * 300], "numbers": (1, -1, 1 << 40, 1 << 2000, 1.5, True, None), "bytes": b"\x00" * 300,
        "sets": ({1, 2}, frozenset("ab")), "deep": [[[[]]]], "more": [{"a": i} for i in range(50)],
    }  # fmt: skip
    data = pickle.dumps(value, protocol)
    ending, walk, follower = follow(data)
    assert ending == "stop"
    assert follower.window.offset == len(data)
    assert not walk.problems
    assert not follower.marks


def test_breaks_where_no_opcode_is() -> None:
    ending, walk, follower = follow(b"\x80\x02K\x01\xff.")
    assert ending == "broken"
    assert [(p.code, p.offset) for p in walk.problems] == [("opcode", 4)]
    assert follower.window.offset == 4


def test_ends_within_an_argument() -> None:
    ending, walk, _ = follow(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc")
    assert ending == "truncated"
    assert walk.problems[0].code == "truncated"


def test_stops_at_its_allowance() -> None:
    assert follow(b"\x80\x04]" + b"K\x01a" * 1000 + b".", 500)[0] == "limit"


def test_memo_counts_its_entries_as_the_interpreter_does() -> None:
    # PUT 7, then MEMOIZE takes index 1, not 8
    _, walk, _ = follow(b"\x80\x04\x8c\x02osq\x070\x8c\x06system\x940h\x07h\x01\x93.")
    assert list(walk.imports) == [("os", "system")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x80\x07N.", "protocol"),
        (b"\x80\x02N\x80\x02.", "proto"),
        (b"(" * 3000 + b"N.", "depth"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "memo"),
        (b"\x80\x04\x95\xff\xff\x00\x00\x00\x00\x00\x00N.", "frame"),
    ],
)
def test_notes_what_no_pickler_writes(data: bytes, code: str) -> None:
    assert code in [problem.code for problem in follow(data)[1].problems]


def test_values_that_double() -> None:
    value: list[object] = ["x"]
    for _ in range(30):
        value = [value, value]
    assert follow(pickle.dumps(value))[1].doublings == 30
    assert follow(pickle.dumps(["same"] * 5000 + [[1]] * 3))[1].doublings < 3


def test_bytes_of_protocol_2() -> None:
    inner = pickle.dumps([1, 2], 4)
    _, walk, _ = follow(pickle.dumps({"x": inner}, 2))
    assert [(e.content, e.text) for e in walk.embedded] == [("pickle", True)]
    assert as_latin("é\x80".encode()) == b"\xe9\x80"
