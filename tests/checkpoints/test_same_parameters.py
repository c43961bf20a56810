from pathlib import Path

import numpy as np
import pytest
from checkpoints.by_hand import Stored, stored, write_folder

from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.model_sizes import read_sizes
from qaudit.checkpoints.same_parameters import require_same_parameters
from qaudit.errors import Incomparable

CONFIG = {
    "model_type": "llama", "vocab_size": 8, "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1,
    "num_attention_heads": 2,
}  # fmt: skip
GIVEN: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (8, 4),
    "model.layers.0.self_attn.q_proj.weight": (4, 4),
    "model.layers.0.self_attn.q_proj.bias": (4,),
    "model.norm.weight": (4,),
}


def zeros(*shape: int) -> Stored:
    return stored(np.zeros(shape, np.float16))


HELD = {name: zeros(*shape) for name, shape in GIVEN.items()}


def check(folder: Path, held: dict[str, Stored], **more: object) -> None:
    config = {**CONFIG, **more}
    reference = HfCheckpoint(write_folder(folder / "hf", held, config))
    require_same_parameters(Path("m.gguf"), GIVEN, reference, read_sizes(config))


def test_the_same(tmp_path: Path) -> None:
    check(tmp_path, HELD)


def test_buffers_and_tied_matrices_are_no_parameters(tmp_path: Path) -> None:
    more = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": zeros(2),
        "model.layers.0.self_attn.k_proj.k_scale": zeros(1),
    }
    check(tmp_path, {**HELD, **more})
    check(tmp_path, {**HELD, "lm_head.weight": zeros(8, 4)}, tie_word_embeddings=True)
    with pytest.raises(Incomparable, match=r"m.gguf: lacks 'lm_head' of .*hf"):
        check(tmp_path, {**HELD, "lm_head.weight": zeros(8, 4)})


def test_experts_lie_one_by_one_in_files(tmp_path: Path) -> None:
    check(tmp_path, {**HELD, "model.layers.0.block_sparse_moe.experts.0.w1.weight": zeros(6, 4)})


def test_more_or_less(tmp_path: Path) -> None:
    with pytest.raises(Incomparable, match=r"lacks 'model.layers.1.mlp.up' and 1 more of"):
        check(tmp_path, {**HELD, "model.layers.1.mlp.up.weight": zeros(1, 1), "model.x.weight": zeros(1, 1)})
    less = {name: entry for name, entry in HELD.items() if not name.endswith("bias")}
    with pytest.raises(Incomparable, match=r"has 'model.layers.0.self_attn.q_proj.bias', which .*hf has not"):
        check(tmp_path, less)


def test_another_shape(tmp_path: Path) -> None:
    with pytest.raises(Incomparable, match=r"q_proj is \(4, 8\), config.json says \(4, 4\)"):
        check(tmp_path, {**HELD, "model.layers.0.self_attn.q_proj.weight": zeros(4, 8)})
