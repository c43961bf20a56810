"""Two checkpoints of one format: architecture, tokenizer, shapes."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.same_layout import require_same_layout
from qaudit.errors import Incomparable

Shapes = dict[str, tuple[int, ...]]
SHAPES: Shapes = {"blk.0.attn_q": (4, 32), "blk.1.attn_q": (4, 32), "token_embd": (2, 32)}


def tiny(
    path: Path, shapes: Shapes, arch: str = "llama", tokens: tuple[str, ...] = ("a", "b")
) -> GgufCheckpoint:
    writer = gguf.GGUFWriter(str(path), arch)
    writer.add_token_list(list(tokens))
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.ones(shape, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GgufCheckpoint(path)


def test_the_same_in_other_places_are_one(tmp_path: Path) -> None:
    reference = tiny(tmp_path / "r.gguf", SHAPES)
    require_same_layout(tiny(tmp_path / "c.gguf", SHAPES), reference)
    # outside of the layers a quantizer may store one matrix more or less
    untied = {**{k: v for k, v in SHAPES.items() if k != "token_embd"}, "output": (2, 32)}
    require_same_layout(tiny(tmp_path / "u.gguf", untied), reference)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"arch": "qwen2"}, "architecture 'qwen2', the reference has 'llama'"),
        ({"tokens": ("a", "c")}, "its tokenizer is not that of"),
        ({"shapes": {**SHAPES, "blk.1.attn_q": (4, 64)}}, "blk.1.attn_q is (4, 64), the reference's is (4, 32)"),
        ({"shapes": {"token_embd": (2, 32)}}, "lacks blk.0.attn_q and 1 more"),
    ],
)  # fmt: skip
def test_others_are_not(tmp_path: Path, changed: dict, said: str) -> None:
    reference = tiny(tmp_path / "r.gguf", SHAPES)
    with pytest.raises(Incomparable) as caught:
        require_same_layout(tiny(tmp_path / "c.gguf", **{"shapes": SHAPES, **changed}), reference)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
