"""Small safetensors files and folders, right and wrong, for the tests of qaudit.static."""

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qaudit.static.folder_view import FolderView
from qaudit.static.surveying import survey
from qaudit.static.tensors.dtypes import BITS
from qaudit.static.tensors.modules import Module, gathered
from qaudit.static.tensors.weight_files import weight_folders
from qaudit.values import Finding

Tensors = Mapping[str, tuple[str, tuple[int, ...], bytes | None]]


@dataclass(frozen=True)
class MemoryBytes:
    """A file of a download that lies in memory."""

    data: bytes
    name: str = "model.safetensors"
    local: bool = True

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[max(0, offset) : max(0, offset) + max(0, length)]


def raw_file(header: object, body: bytes = b"", *, length: int | None = None) -> bytes:
    """A file with any header, as bytes or as what JSON makes of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def file_of(tensors: Tensors, metadata: dict[str, str] | None = None) -> bytes:
    """A right file; a tensor without bytes gets ones (as 16-bit floats 1.0, other types 1)."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    body = b""
    for name, (dtype, shape, data) in tensors.items():
        count = 1
        for length in shape:
            count *= length
        filled = ones(dtype, count) if data is None else data
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [len(body), len(body) + len(filled)],
        }
        body += filled
    text = json.dumps(header).encode()
    return raw_file(text + b" " * (-len(text) % 8), body)


def ones(dtype: str, count: int) -> bytes:
    one = {"F16": struct.pack("<e", 1), "BF16": b"\x80\x3f", "F32": struct.pack("<f", 1), "F8_E4M3": b"\x38"}
    return one[dtype] * count if dtype in one else b"\1" + bytes(max(0, BITS[dtype] * count // 8 - 1))


def written(folder: Path, files: Mapping[str, bytes | str | dict[str, Any] | list[Any]]) -> FolderView:
    """Write files and return the view of them."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content) if isinstance(content, dict | list) else content
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return survey(folder)


def modules_of(folder: Path, tensors: Tensors) -> dict[str, Module]:
    """The modules of one file."""
    view = written(folder, {"model.safetensors": file_of(tensors)})
    return gathered(weight_folders(view)[0].tensors())


def loud(findings: Iterable[Finding]) -> dict[str, str]:
    """Rule -> severity, of what is above `info`."""
    return {finding.id: finding.severity for finding in findings if finding.severity != "info"}


def quiet(findings: Iterable[Finding]) -> set[str]:
    return {finding.id for finding in findings if finding.severity == "info"}


CONFIG = {
    "model_type": "llama", "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 32,
    "num_attention_heads": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
}  # fmt: skip


def llama(dtype: str = "F16") -> dict[str, tuple[str, tuple[int, ...], bytes | None]]:
    """The tensors of a model of CONFIG."""
    layer = "model.layers.0."
    shapes = {
        "model.embed_tokens.weight": (32, 16),
        layer + "input_layernorm.weight": (16,),
        layer + "self_attn.q_proj.weight": (16, 16),
        layer + "self_attn.k_proj.weight": (8, 16),
        layer + "self_attn.v_proj.weight": (8, 16),
        layer + "self_attn.o_proj.weight": (16, 16),
        layer + "mlp.gate_proj.weight": (32, 16),
        layer + "mlp.up_proj.weight": (32, 16),
        layer + "mlp.down_proj.weight": (16, 32),
        layer + "post_attention_layernorm.weight": (16,),
        "model.norm.weight": (16,),
    }
    return {name: (dtype, shape, None) for name, shape in shapes.items()}


def gptq(
    name: str = "x", inputs: int = 32, outputs: int = 16, group: int = 8, bits: int = 4
) -> dict[str, Any]:
    """The parts of one GPTQ module."""
    groups = inputs // group
    index = struct.pack(f"<{inputs}i", *[i // group for i in range(inputs)])
    return {
        f"{name}.qweight": ("I32", (inputs * bits // 32, outputs), None),
        f"{name}.qzeros": ("I32", (groups, outputs * bits // 32), None),
        f"{name}.scales": ("F16", (groups, outputs), None),
        f"{name}.g_idx": ("I32", (inputs,), index),
    }


def awq(name: str = "x", inputs: int = 32, outputs: int = 16, group: int = 8) -> dict[str, Any]:
    """The parts of one AWQ module."""
    groups = inputs // group
    return {
        f"{name}.qweight": ("I32", (inputs, outputs // 8), None),
        f"{name}.qzeros": ("I32", (groups, outputs // 8), None),
        f"{name}.scales": ("F16", (groups, outputs), None),
    }
