"""Models of other frameworks, searched for the few things in them that run code."""

import re
from collections.abc import Iterator
from typing import Final

from qaudit.static.byte_source import ByteSource
from qaudit.static.kinds import suffix_of
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.repository.download import Note

MAX_SEARCHED: Final = 8 << 20
_KERAS: Final = LazyPattern(
    rb'"class_name"\s*:\s*"Lambda"|"module"\s*:\s*"(?:builtins|os|subprocess|posix|importlib)"'
)
_GRAPH: Final = LazyPattern(
    rb"[\n\x12*]([\x06-\x14])(ReadFile|WriteFile|MergeV2Checkpoints|Save|SaveV2|PyFunc|EagerPyFunc|PyFuncStateless|ShellExecute)\b"
)
_ONNX: Final = LazyPattern(
    rb"location\x12.{1,3}(?:\.\./|/|\w:\\)[^\x00]{0,80}|\x12?PythonOp|\x12?PyOp\b", re.DOTALL
)
_PMML: Final = LazyPattern(rb"<!ENTITY|<\?xml-stylesheet|<script\b", re.IGNORECASE)
# suffix -> (what it is, what is searched for in it)
FORMATS: Final[dict[str, tuple[str, LazyPattern[bytes] | None]]] = {
    ".h5": ("Keras in HDF5", _KERAS),
    ".hdf5": ("Keras in HDF5", _KERAS),
    ".pb": ("a TensorFlow graph", _GRAPH),
    ".pbtxt": ("a TensorFlow graph", _GRAPH),
    ".meta": ("a TensorFlow graph", _GRAPH),
    ".onnx": ("ONNX", _ONNX),
    ".ort": ("ONNX", _ONNX),
    ".tflite": ("TensorFlow Lite", None),
    ".mlmodel": ("Core ML", None),
    ".pmml": ("PMML", _PMML),
    ".pdmodel": ("Paddle", None),
    ".engine": ("TensorRT", None),
    ".plan": ("TensorRT", None),
    ".rknn": ("RKNN", None),
    ".mnn": ("MNN", None),
    ".t7": ("Torch 7", None),
    ".rds": ("R", None),
    ".llamafile": ("a llamafile", None),
    ".skops": ("skops", None),
    ".msgpack": ("Flax", None),
    ".cbm": ("CatBoost", None),
    ".params": ("MXNet", None),
}


def is_foreign(path: str) -> bool:
    """Return whether a file is of another framework by its name."""
    return suffix_of(path) in FORMATS


def foreign_notes(source: ByteSource) -> Iterator[Note]:
    """Yield what was found in such a file, and that it is one.

    Raises:
        InputError: the file cannot be read.
        HubUnreachable: the hub no longer answers.
    """
    what, pattern = FORMATS[suffix_of(source.name)]
    yield Note("foreign-format=info", source.name, f"{what}; not examined but for the worst")
    if pattern is None or not source.local:
        return
    half = MAX_SEARCHED // 2
    parts = [(0, min(source.size, half))]
    if source.size > half:
        parts.append((max(half, source.size - half), half))
    for start, length in parts:
        data = source.read_at(start, length)
        for number, match in enumerate(pattern.finditer(data)):
            if number >= 5:
                break
            if pattern is _GRAPH and (match[1][0] != len(match[2]) or match[2] in (b"Save", b"SaveV2")):
                continue
            place = f"{source.name}@byte {start + match.start()}"
            yield Note("foreign-code", place, f"{what}: {match[0][:100]!a}")
