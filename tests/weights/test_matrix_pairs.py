import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from changed_weights import pair_of

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.errors import Incomparable, InputError
from qaudit.lab.members import reference_folder
from qaudit.weights import matrix_pairs
from qaudit.weights.matrix_pairs import Side, pair_matrices, pair_sides, role_of

Member = Callable[[str], Path]


def whole(pair: matrix_pairs.MatrixPair) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(pair.blocks())
    return np.concatenate([r for _, r, _ in blocks]), np.concatenate([c for _, _, c in blocks])


def test_blocks_cover_all_rows_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_pairs, "BLOCK_BYTES", 4 * 10 * 3)
    matrix = np.arange(80.0).reshape(8, 10)
    pair = pair_of("model.layers.0.mlp.up_proj", matrix, matrix + 1)
    assert [(rows.start, rows.stop) for rows, _, _ in pair.blocks()] == [(0, 3), (3, 6), (6, 8)]
    reference, candidate = whole(pair)
    assert (reference == matrix).all()
    assert (candidate == matrix + 1).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(bad: float) -> None:
    matrix = np.ones((2, 4))
    broken = matrix.copy()
    broken[1, 2] = bad
    with pytest.raises(InputError, match="up_proj: the checkpoint's weights are not all finite"):
        list(pair_of("model.layers.0.mlp.up_proj", matrix, broken).blocks())


def test_a_weight_that_no_model_has_is_refused() -> None:
    matrix = np.ones((2, 4))
    broken = matrix * 1e31
    with pytest.raises(InputError, match=r"the reference's weights are as large as 1e\+31"):
        list(pair_of("model.layers.0.mlp.up_proj", broken, matrix).blocks())


def side(*outside: str, rows: int = 6, vocabulary: int | None = None) -> Side:
    """One block and some matrices outside, each full of its own number."""
    names = ("model.layers.0.mlp.up_proj", *outside)
    return Side(
        dict.fromkeys(names, (rows, 4)),
        lambda name, start, stop: np.full((stop - start, 4), names.index(name), np.float32),
        dict.fromkeys(names, "F16"),
        vocabulary,
    )


def test_an_output_matrix_that_one_side_ties_is_compared_with_its_embeddings() -> None:
    tied, untied = side("model.embed_tokens"), side("model.embed_tokens", "lm_head")
    for ours, theirs, read in ((untied, tied, (1, 2)), (tied, untied, (2, 1))):
        output = pair_sides(ours, theirs, "m")[-1]
        assert (output.name, output.role, output.layer) == ("lm_head", "output", None)
        reference, candidate = output.read(0, 1)
        assert (reference[0, 0], candidate[0, 0]) == read
    assert [p.name for p in pair_sides(tied, tied, "m")] == [
        "model.layers.0.mlp.up_proj",
        "model.embed_tokens",
    ]
    assert "lm_head" in [p.name for p in pair_sides(untied, untied, "m")]
    # rows that one side only pads are not compared, and a matrix without any counterpart is nobody's pair
    assert pair_sides(untied, side("model.embed_tokens", vocabulary=5), "m")[-1].shape == (5, 4)
    assert [p.name for p in pair_sides(side("lm_head"), side(), "m")] == ["model.layers.0.mlp.up_proj"]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("model.layers.3.self_attn.o_proj", "attention_output"),
        ("blk.3.ffn_down", "feed_forward_output"),
        ("model.layers.0.self_attn.dense", "attention_output"),
        ("blk.0.attn_norm", "attention_norm"),
        ("token_embd", "other"),
    ],
)
def test_roles(name: str, role: str) -> None:
    assert role_of(name) == role


def test_a_gguf_and_a_folder_of_the_same_weights_are_the_same(f16: Path, member: Member) -> None:
    folder = open_checkpoint(member("hf-F16"))
    both = pair_matrices(open_checkpoint(f16), folder), pair_matrices(folder, open_checkpoint(f16))
    for pairs in both:
        by_name = {pair.name: pair for pair in pairs}
        # query rows lie in another order in a GGUF
        query = by_name["model.layers.1.self_attn.q_proj"]
        assert query.layer == 1
        assert query.role == "query"
        reference, candidate = whole(query)
        assert (reference == candidate).all()
        assert len([p for p in pairs if p.shape[0] > 1]) == 22
    assert {pair.stored for pair in both[0] if pair.shape[0] > 1} == {"F16"}


def test_two_ggufs_keep_their_own_names(f16: Path, q8: Path) -> None:
    pairs = {pair.name: pair for pair in pair_matrices(open_checkpoint(q8), open_checkpoint(f16))}
    assert pairs["blk.2.ffn_down"].stored == "Q8_0"
    assert pairs["blk.2.ffn_down"].layer == 2
    assert pairs["token_embd"].layer is None
    assert pairs["token_embd"].role == "embeddings"


def test_rows_that_one_side_only_pads_are_not_compared(f16: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from hf_folders import edit_config
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "padded"
    shutil.copytree(reference_folder(), folder)
    tensors = load_file(folder / "model.safetensors")
    name = "model.embed_tokens.weight"
    tensors[name] = np.concatenate([tensors[name], np.ones((64, 256), np.float16)])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    edit_config(folder, vocab_size=1088)
    for sides in ((f16, folder), (folder, f16)):
        pairs = {p.name: p for p in pair_matrices(*(open_checkpoint(side) for side in sides))}
        embeddings = pairs["model.embed_tokens"]
        assert embeddings.shape == (1024, 256)
        reference, candidate = whole(embeddings)
        assert (reference == candidate).all()


def test_another_model_is_refused(f16: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from hf_folders import write_folder

    other = open_checkpoint(write_folder(tmp_path / "other", "llama", torch.float16))
    third = open_checkpoint(write_folder(tmp_path / "third", "llama", torch.float16, intermediate_size=64))
    with pytest.raises(Incomparable, match="is \\(64, 128\\), the reference's is \\(64, 64\\)"):
        pair_matrices(other, third)
    with pytest.raises(Incomparable):
        pair_matrices(open_checkpoint(f16), other)
