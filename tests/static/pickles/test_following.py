import io

import joblib
import numpy as np
import pytest

from qaudit.static.pickles.following import Follower
from qaudit.static.pickles.stand_ins import Allowance
from qaudit.static.pickles.walk import PickleWalk
from qaudit.static.pickles.window import Held, Window


def follow(data: bytes) -> tuple[str, PickleWalk]:
    walk = PickleWalk("x", len(data))
    return Follower(Window(Held(data, "x"), 0), walk, Allowance()).run(), walk


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'id'\ntR.",
        b"(S'id'\nios\nsystem\n.",
        b"(cos\nsystem\nS'id'\no.",
        b"\x80\x02cos\nsystem\nU\x02id\x85\x81.",
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x02id\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85}\x92.",
        b"V\\u006fs\nV\\u0073ystem\n\x93(Vid\ntR.",
        b"S'\\x6fs'\nS'system'\n\x93(Vid\ntR.",
    ],
)
def test_imports_and_their_calls(data: bytes) -> None:
    ending, walk = follow(data)
    assert ending == "stop"
    assert list(walk.imports) == [("os", "system")]
    assert "'id'" in walk.calls[0].arguments


def test_names_of_python_2() -> None:
    assert list(follow(b"c__builtin__\neval\n.")[1].imports) == [("builtins", "eval")]


def test_a_name_that_is_not_a_constant() -> None:
    found = next(iter(follow(b"\x80\x04\x8c\x02os\x88\x93.")[1].imports.values()))
    assert found.full_name == "?os.?"


def test_a_call_of_what_a_call_gave() -> None:
    _, walk = follow(b"\x80\x02cbuiltins\ngetattr\nN\x85RU\x02id\x85R.")
    assert [call.target is None for call in walk.calls] == [False, True]


def test_changes_of_a_global_and_other_means() -> None:
    assert [c.opcode for c in follow(b"\x80\x02cos\npath\n}b.")[1].calls] == ["BUILD"]
    assert [c.opcode for c in follow(b"\x80\x02cos\nenviron\nU\x01aU\x01bs.")[1].calls] == ["SETITEM"]
    assert follow(b"\x80\x02\x82\x05.")[1].extension_codes == [(2, 5)]
    assert follow(b"Pabc\n.")[1].odd_persistent is not None
    torch = follow(b"\x80\x02(U\x07storageNtQ.")[1]
    assert (torch.persistent, torch.odd_persistent) == (1, None)


def test_arrays_that_joblib_writes_between_opcodes() -> None:
    stream = io.BytesIO()
    value = {"a": np.arange(1000.0), "o": np.array(["x", None], dtype=object), "b": np.ones((3, 4), np.int8)}
    joblib.dump(value, stream)
    ending, walk = follow(stream.getvalue())
    assert ending == "stop"
    assert not walk.problems
    assert ("joblib.numpy_pickle", "NumpyArrayWrapper") in walk.imports
