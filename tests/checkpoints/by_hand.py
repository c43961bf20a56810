"""safetensors files written without any library of ours or of theirs, and modules out of them."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qaudit.checkpoints.codecs.module_parts import ModuleParts
from qaudit.checkpoints.safetensors import read_safetensors

Stored = tuple[str, tuple[int, ...], bytes]
NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "int16": "I16",
    "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
}  # fmt: skip


def stored(array: NDArray[Any], dtype: str | None = None) -> Stored:
    """Return the entry of an array; `dtype` names another type of the same width, such as BF16."""
    return dtype or NAMES[array.dtype.name], array.shape, np.ascontiguousarray(array).tobytes()


def framed(header: object, data: bytes = b"") -> bytes:
    """Put a header of any kind before some bytes."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def safetensors_bytes(tensors: Mapping[str, Stored], metadata: dict[str, str] | None = None) -> bytes:
    header: dict[str, object] = {"__metadata__": metadata} if metadata is not None else {}
    data = b""
    for name, (dtype, shape, raw) in tensors.items():
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
        data += raw
    return framed(header, data)


def module_of(path: Path, parts: Mapping[str, Stored], module: str = "model.proj") -> ModuleParts:
    """Write the parts of one module to a file and open it."""
    path.write_bytes(safetensors_bytes({f"{module}.{part}": entry for part, entry in parts.items()}))
    file = read_safetensors(path)
    return ModuleParts(module, {part: (file, file.tensors[f"{module}.{part}"]) for part in parts})


def write_folder(
    folder: Path, tensors: Mapping[str, Stored], config: Mapping[str, object] | None = None
) -> Path:
    """Write a folder in Hugging Face layout with one file of weights."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"} if config is None else config))
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    return folder
