"""The wire between a worker and its parent: length-prefixed JSON headers with raw float payloads.

The worker may be under a hostile checkpoint's control, so the parent reads nothing but JSON and
floats, and checks every length before it reads. No pickle.
"""

import json
import struct
from typing import Any, BinaryIO

import numpy as np

from qaudit.engines.protocol import FloatArray
from qaudit.errors import EngineFailure

MAX_HEADER = 64 << 20
MAX_PAYLOAD = 512 << 20
_LENGTHS = struct.Struct("<IQ")

Header = dict[str, Any]


def write_frame(stream: BinaryIO, header: Header, payload: FloatArray | None = None) -> None:
    """Write one frame; the payload's shape travels in the header under "shape"."""
    if payload is not None:
        header = {**header, "shape": list(payload.shape)}
    raw = json.dumps(header, ensure_ascii=False).encode("utf-8", errors="replace")
    data = b"" if payload is None else np.ascontiguousarray(payload, dtype="<f4").tobytes()
    stream.write(_LENGTHS.pack(len(raw), len(data)))
    stream.write(raw)
    stream.write(data)
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[Header, FloatArray | None] | None:
    """Read one frame; None at a clean end of the stream.

    Raises:
        EngineFailure: the frame is cut off, too long or not what it claims.
    """
    prefix = stream.read(_LENGTHS.size)
    if not prefix:
        return None
    if len(prefix) < _LENGTHS.size:
        raise EngineFailure("the worker's answer was cut off")
    header_length, payload_length = _LENGTHS.unpack(prefix)
    if header_length > MAX_HEADER or payload_length > MAX_PAYLOAD:
        raise EngineFailure("the worker sent a frame longer than any honest one")
    raw, data = stream.read(header_length), stream.read(payload_length)
    if len(raw) < header_length or len(data) < payload_length:
        raise EngineFailure("the worker's answer was cut off")
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise EngineFailure("the worker's answer is not JSON") from error
    if not isinstance(header, dict):
        raise EngineFailure("the worker's answer is not an object")
    return header, _array(header.pop("shape", None), data)


def _array(shape: object, data: bytes) -> FloatArray | None:
    if shape is None:
        return None
    if not isinstance(shape, list) or len(shape) > 2 or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise EngineFailure("the worker sent an array without a proper shape")
    if len(data) % 4:
        raise EngineFailure("the worker sent an array that is not whole floats")
    array = np.frombuffer(data, dtype="<f4")
    count = 1
    for n in shape:
        count *= n
    if count != array.size:
        raise EngineFailure("the worker sent an array of another size than its shape")
    return array.reshape(shape)
