import io
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch

from qaudit.static.case import Case
from qaudit.static.pickles.inspector import inspect_pickle
from qaudit.static.pickles.window import Held


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1",)


def _npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _above_info(data: bytes) -> list[str]:
    return [f.id for f in inspect_pickle(Held(data, "x"), Case()).findings if f.severity != "info"]


def test_an_array_of_objects_is_a_pickle() -> None:
    examined = inspect_pickle(Held(_npy(np.array([Runs(), 1], dtype=object)), "a.npy"), Case())
    worst = examined.findings[0]
    assert (worst.id, worst.severity) == ("pickle/unsafe-global", "critical")
    # the place is in the file, behind the array's header
    assert int(worst.location.rpartition(" ")[2]) > 128


@pytest.mark.parametrize(
    "array", [np.arange(10), np.array(["a", "bc"]), np.zeros(3, dtype=[("a", "<i4"), ("b", "<f8")])]
)
def test_plain_arrays_are_examined(array: Any) -> None:
    examined = inspect_pickle(Held(_npy(array), "a.npy"), Case())
    assert not examined.findings
    assert [surface.state for surface in examined.surfaces] == ["examined"]


def test_headers_of_arrays_that_lie() -> None:
    for data in (
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY\x01\x00\xff\xff{'descr': '|O'",
        b"\x93NUMPY",
    ):
        inspect_pickle(Held(data, "a.npy"), Case())


def test_what_torch_and_numpy_write_is_clean() -> None:
    types = (torch.float32, torch.bfloat16, torch.float16, torch.int8, torch.float8_e4m3fn)
    weights = OrderedDict((str(t), torch.ones(4).to(t)) for t in types)
    stream = io.BytesIO()
    torch.save(weights, stream, _use_new_zipfile_serialization=False)
    assert not _above_info(stream.getvalue())
    state = {"python": (3, (1, 2), None), "numpy": np.random.RandomState(0).get_state(), "x": np.float64(1)}
    for protocol in range(6):
        assert not _above_info(pickle.dumps(state, protocol))


def test_raw_data_is_said_to_be_unknown() -> None:
    examined = inspect_pickle(Held(bytes(range(256)) * 20, "weights.bin"), Case())
    assert not examined.findings
    assert [(s.kind, s.state) for s in examined.surfaces] == [("other", "partial")]


def test_a_limit_makes_the_surface_partial() -> None:
    examined = inspect_pickle(Held(pickle.dumps(list(range(400_000))), "x"), Case())
    assert [surface.state for surface in examined.surfaces] == ["partial"]
