from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attacks.gguf_builder import BOOL, F32, STRING, U32, GgufBuilder, Tensor

from qaudit.static.byte_source import LocalBytes
from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.gguf.walking import walk_gguf

Pair = tuple[str, int, Any]
HONEST: dict[str, tuple[int, Any]] = {
    "general.architecture": (STRING, "llama"),
    "general.type": (STRING, "model"),
    "general.name": (STRING, "A Small Model"),
    "general.file_type": (U32, 7),
    "general.quantization_version": (U32, 2),
    "llama.block_count": (U32, 2),
    "llama.context_length": (U32, 4096),
    "llama.embedding_length": (U32, 256),
    "llama.feed_forward_length": (U32, 256),
    "llama.attention.head_count": (U32, 4),
    "llama.attention.head_count_kv": (U32, 2),
    "llama.attention.layer_norm_rms_epsilon": (F32, 1e-5),
    "llama.rope.freq_base": (F32, 10000.0),
    "llama.rope.dimension_count": (U32, 64),
    "tokenizer.ggml.add_bos_token": (BOOL, True),
}
TENSORS = [
    Tensor.full("token_embd.weight", (256, 8), 8),
    Tensor.full("blk.0.attn_q.weight", (256, 4), 8),
    Tensor.full("blk.1.attn_q.weight", (256, 4), 8),
    Tensor.full("output_norm.weight", (256,)),
]


@pytest.fixture
def walked(tmp_path: Path) -> Callable[..., GgufWalk]:
    """The walk of an honest little file; pairs by key replace or add (None takes away), `tensors` replace."""

    def make(
        pairs: dict[str, tuple[int, Any] | None] | None = None,
        tensors: list[Tensor] | None = None,
        name: str = "m.gguf",
        honest: bool = True,
    ) -> GgufWalk:
        held = {**(HONEST if honest else {}), **(pairs or {})}
        written: list[tuple[str | bytes, int, Any]] = [
            (key, kind, value) for key, (kind, value) in ((k, v) for k, v in held.items() if v is not None)
        ]
        path = GgufBuilder(pairs=written, tensors=TENSORS if tensors is None else tensors).write(
            tmp_path / name
        )
        with LocalBytes(path) as source:
            return walk_gguf(source)

    return make
