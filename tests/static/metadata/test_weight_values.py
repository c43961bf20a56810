import random
import struct
from pathlib import Path

import numpy as np
import pytest
from attacks.gguf_builder import GgufBuilder, Tensor
from gguf import GGUFWriter, quants
from gguf.constants import GGMLQuantizationType
from processor_time import at_most

from qaudit.static.byte_source import LocalBytes
from qaudit.static.case import Case
from qaudit.static.gguf.walking import walk_gguf
from qaudit.static.metadata import weight_values
from qaudit.static.metadata.weight_values import inspect_values
from qaudit.static.model_parts import Examined


class Remote(LocalBytes):
    local = False


def looked(path: Path, deep: bool = False, opener: type[LocalBytes] = LocalBytes) -> Examined:
    with opener(path) as source:
        return inspect_values(source, walk_gguf(source), Case(deep=deep))


def block(scale: float = 0.01, seed: int = 0) -> bytes:
    return struct.pack("<e", scale) + random.Random(seed).randbytes(32)


def matrix(name: str, *blocks: bytes) -> Tensor:
    return Tensor(name, (32, len(blocks)), 8, b"".join(blocks))


def ids(examined: Examined) -> set[str]:
    return {finding.id for finding in examined.findings}


@pytest.mark.parametrize(
    "kind", [GGMLQuantizationType[name] for name in ("F32", "F16", "BF16", "Q4_0", "Q5_1", "Q8_0", "TQ1_0")]
)
def test_weights_that_gguf_py_packs_are_sound(tmp_path: Path, kind: GGMLQuantizationType) -> None:
    writer = GGUFWriter(tmp_path / "m.gguf", "llama")
    draw = np.random.default_rng(1)
    for name in ("blk.0.attn_q.weight", "blk.1.attn_q.weight"):
        values = draw.normal(0, 0.02, (8, 256)).astype(np.float32)
        writer.add_tensor(name, quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    examined = looked(tmp_path / "m.gguf")
    assert examined.findings == []
    assert [surface.state for surface in examined.surfaces] == ["examined"]


def test_what_is_wrong_is_found_with_its_place(tmp_path: Path) -> None:
    sound = [block(seed=n) for n in range(4)]
    tensors = [
        matrix("blk.0.attn_q.weight", *sound[:3], block(float("inf"))),
        matrix("blk.0.attn_k.weight", *[bytes(34)] * 4),
        matrix("blk.0.attn_v.weight", *[block(seed=9)] * 4),
        matrix("blk.0.ffn_up.weight", *sound),
        matrix("blk.1.ffn_up.weight", *sound),
        matrix("blk.0.ffn_down.weight", *[block(6e-8, seed=n) for n in range(4)]),
        Tensor("blk.0.attn_norm.weight", (64,), 0, b"\x7fELF" + bytes(252)),
    ]
    path = GgufBuilder(tensors=tensors).write(tmp_path / "m.gguf")
    examined = looked(path)
    assert ids(examined) == {
        "weights/not-finite", "weights/all-zero", "weights/same-bytes", "weights/tiny-scales", "weights/foreign-data",
    }  # fmt: skip
    told = next(f.evidence for f in examined.findings if f.id == "weights/not-finite")
    at = int(told.rpartition(" ")[2])
    assert path.read_bytes()[at] == 0x7C


def test_long_rows_are_cut_between_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_values, "PIECE", 100)
    data = b"".join(block(seed=n) for n in range(63)) + block(float("nan"))
    path = GgufBuilder(tensors=[Tensor("blk.0.attn_q.weight", (1024, 2), 8, data)]).write(tmp_path / "m.gguf")
    assert ids(looked(path)) == {"weights/not-finite"}


def test_large_files_are_sampled_unless_all_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_values, "WHOLE", 10)
    monkeypatch.setattr(weight_values, "SAMPLE", 68)
    blocks = [block(seed=n) for n in range(100)]
    blocks[20] = block(float("nan"))
    path = GgufBuilder(tensors=[matrix("blk.0.attn_q.weight", *blocks)]).write(tmp_path / "m.gguf")
    sampled = looked(path)
    assert sampled.findings == []
    assert sampled.surfaces[0].state == "partial"
    assert "204 of 3,400 bytes" in sampled.surfaces[0].why
    assert ids(looked(path, deep=True)) == {"weights/not-finite"}


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    tensors = [
        matrix("a.weight", block()),
        Tensor("b.weight", (32, 2), 99, bytes(64)),
        Tensor("c.weight", (32, 1 << 40), 0),
    ]
    path = GgufBuilder(tensors=tensors).write(tmp_path / "m.gguf")
    surface = looked(path).surfaces[0]
    assert surface.state == "partial"
    assert "2 tensors" in surface.why
    assert looked(path, opener=Remote).surfaces[0].state == "skipped"


def test_very_many_tensors_take_no_time(tmp_path: Path) -> None:
    tensors = [Tensor(f"t.{n}", (8,), 0, struct.pack("<8f", *range(n, n + 8))) for n in range(3000)]
    path = GgufBuilder(tensors=tensors).write(tmp_path / "m.gguf")
    with at_most(2):
        examined = looked(path)
    assert examined.findings == []
