import io
import os
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_time import at_most

from qaudit.static.pickles.known_names import is_dangerous
from qaudit.static.pickles.walk import PickleWalk
from qaudit.static.pickles.walking import walk_pickles
from qaudit.static.pickles.window import Held


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


BAD = pickle.dumps(Runs(), 2)
SYSTEM = (os.system.__module__, "system")


def walked(data: bytes) -> PickleWalk:
    return walk_pickles(Held(data, "x"), is_dangerous)


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(1) + BAD,
        pickle.dumps(1) * 50 + BAD,
        pickle.dumps(1) + b"junk that is no pickle" + BAD,
        b"\x80\x02\xffcut" + BAD,
        BAD[:-1] + b"\xff\xff",
        BAD[:-1],
        b"\x00" * 1000 + BAD,
        pickle.dumps({"x": BAD}),
        pickle.dumps({"x": BAD}, 2),
        pickle.dumps({"x": pickle.dumps([BAD])}),
    ],
)
def test_what_runs_is_found_wherever_it_lies(data: bytes) -> None:
    assert SYSTEM in walked(data).imports


def test_imports_amid_other_bytes_that_are_no_whole_pickle() -> None:
    walk = walked(b"\x00" * 700_000 + b"\x8c\x02os\x94\x8c\x06system\x94\x93" + b"\x00" * 700_000)
    assert ("os", "system") in walk.imports


def test_old_torch_files_end_in_numbers() -> None:
    stream = io.BytesIO()
    torch.save({"w": torch.randn(300)}, stream, _use_new_zipfile_serialization=False)
    walk = walked(stream.getvalue())
    assert (walk.pickles, walk.limit, walk.problems) == (5, "", [])
    assert walk.storages is not None
    assert not any(is_dangerous(*names) for names in walk.imports)


def test_random_bytes_are_nothing() -> None:
    walk = walked(os.urandom(1 << 20))
    assert (walk.pickles, dict(walk.imports), walk.hidden) == (0, {}, [])


class _Distant(Held):
    local = False


def test_over_a_network_bulk_is_not_read() -> None:
    walk = walk_pickles(_Distant(BAD + bytes(100), "x"), is_dangerous)
    assert SYSTEM in walk.imports
    assert "network" in walk.limit


def test_time_is_bounded() -> None:
    with at_most(5):
        walk = walked(b"\x80\x04]" + b"(" * 1_000_000)
        assert walk.limit or walk.problems
        walk = walked(b"\x80\x04](" + b"K\x01" * 1_000_000 + b"e.")
        assert walk.limit


@settings(max_examples=200)
@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x80\x02", b"\x80\x04\x95", b"cos\nsystem\n", BAD[:-3]])
)
def test_never_raises(data: bytes, start: bytes) -> None:
    walked(start + data)


@settings(max_examples=100)
@given(st.data())
def test_a_flipped_byte_never_breaks_the_walk(data: st.DataObject) -> None:
    raw = bytearray(
        pickle.dumps({"a": [1, (2, "x"), {"b": b"y" * 300}], "c": 1 << 70}, data.draw(st.integers(0, 5)))
    )
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    walked(bytes(raw))
