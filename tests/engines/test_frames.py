import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.engines import frames
from qaudit.engines.frames import read_frame, write_frame
from qaudit.errors import EngineFailure

headers = st.dictionaries(
    st.text(max_size=8).filter(lambda k: k != "shape"), st.integers() | st.text(max_size=20), max_size=4
)


@given(headers, st.none() | st.lists(st.floats(width=32, allow_nan=False), max_size=20))
def test_a_frame_reads_back_as_written(header: dict[str, object], floats: list[float] | None) -> None:
    payload = None if floats is None else np.array(floats, np.float32)
    stream = io.BytesIO()
    write_frame(stream, header, payload)
    stream.seek(0)
    frame = read_frame(stream)
    assert frame is not None
    # lone surrogates cannot travel as UTF-8; everything else must
    expected = json.loads(json.dumps(header, ensure_ascii=False).encode("utf-8", errors="replace"))
    assert frame[0] == expected
    assert (frame[1] is None) == (payload is None)
    if payload is not None and frame[1] is not None:
        np.testing.assert_array_equal(frame[1], payload)
    assert read_frame(stream) is None


def test_a_matrix_keeps_its_shape() -> None:
    stream = io.BytesIO()
    write_frame(stream, {"kind": "x"}, np.arange(6, dtype=np.float32).reshape(2, 3))
    stream.seek(0)
    frame = read_frame(stream)
    assert frame is not None
    assert frame[1] is not None
    assert frame[1].shape == (2, 3)


def raw(
    header: bytes, payload: bytes = b"", header_length: int | None = None, payload_length: int | None = None
) -> io.BytesIO:
    lengths = struct.pack(
        "<IQ",
        len(header) if header_length is None else header_length,
        len(payload) if payload_length is None else payload_length,
    )
    return io.BytesIO(lengths + header + payload)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (io.BytesIO(b"\1\2\3"), "cut off"),
        (raw(b"{}", header_length=10), "cut off"),
        (raw(b"{}", b"1234", payload_length=8), "cut off"),
        (raw(b"{}", header_length=frames.MAX_HEADER + 1), "longer than any honest"),
        (raw(b"{}", payload_length=frames.MAX_PAYLOAD + 1), "longer than any honest"),
        (raw(b"nonsense"), "not JSON"),
        (raw(b"[" * 100_000), "not JSON"),
        (raw(b"\xff\xfe"), "not JSON"),
        (raw(b"[1]"), "not an object"),
        (raw(b'{"shape": [3]}', b"1234"), "another size"),
        (raw(b'{"shape": [-1]}', b"1234"), "proper shape"),
        (raw(b'{"shape": "x"}', b"1234"), "proper shape"),
        (raw(b'{"shape": [1]}', b"12345"), "whole floats"),
    ],
)  # fmt: skip
def test_a_lying_worker_is_refused(stream: io.BytesIO, message: str) -> None:
    with pytest.raises(EngineFailure, match=message):
        read_frame(stream)


def test_nothing_over_the_cap_is_read() -> None:
    class Counting(io.BytesIO):
        asked = 0

        def read(self, size: int | None = -1, /) -> bytes:
            Counting.asked = max(Counting.asked, size or 0)
            return super().read(size)

    with pytest.raises(EngineFailure):
        read_frame(Counting(struct.pack("<IQ", 2, frames.MAX_PAYLOAD + 1) + b"{}"))
    assert Counting.asked <= 12


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_an_engine_failure(data: bytes) -> None:
    try:
        frame = read_frame(io.BytesIO(data))
    except EngineFailure:
        return
    assert frame is None or isinstance(frame[0], dict)
