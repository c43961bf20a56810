from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.lab.ablate import remove_direction
from qaudit.lab.gguf_export import export_f16
from qaudit.lab.hf_weights import read_shape, read_weights
from qaudit.lab.members import reference_folder
from qaudit.lab.quantize import quantize
from qaudit.weights.examination import examine

Member = Callable[[str], Path]


@pytest.mark.parametrize("name", ["Q4_K_M", "IQ4_XS", "Q2_K-pure"])
def test_honest_files(f16: Path, member: Member, name: str) -> None:
    assert examine(open_checkpoint(member(name)), open_checkpoint(f16)).kind == "rounding"


@pytest.mark.parametrize("name", ["AWQ-g128", "GPTQ-2bit", "W4A16"])
def test_honest_folders(member: Member, name: str) -> None:
    pytest.importorskip("compressed_tensors")
    assert examine(open_checkpoint(member(name)), open_checkpoint(member("hf-F16"))).kind == "rounding"


@pytest.mark.parametrize("name", ["ablated-Q4_K_M", "ablated-AWQ-g128", "ablated-GPTQ-4bit"])
@pytest.mark.parametrize("reference", ["F16", "hf-F16"])
def test_the_ablated_members(member: Member, name: str, reference: str) -> None:
    pytest.importorskip("compressed_tensors")
    found = examine(open_checkpoint(member(name)), open_checkpoint(member(reference)))
    assert found.kind == "directional_ablation"
    assert found.layers == (0, 1, 2)
    assert found.only_rounded
    assert all(0.9 < m.strength < 1.1 for m in found.matrices if m.ablated)


def test_the_labs_model_with_its_embeddings_ablated_too(f16: Path, tmp_path: Path) -> None:
    folder = reference_folder()
    shape, weights = read_shape(folder), read_weights(folder)
    drawn = np.random.default_rng(3).standard_normal(shape.hidden)
    direction = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    changed = remove_direction(weights, direction)
    embeddings = changed["model.embed_tokens.weight"]
    changed["model.embed_tokens.weight"] = embeddings - np.outer(embeddings @ direction, direction)
    export_f16(tmp_path / "x.gguf", folder, shape, changed, member="x", lab_version="1")
    quantize(tmp_path / "x.gguf", tmp_path / "y.gguf", "Q4_K_M", member="y")
    for reference in (f16, folder):
        found = examine(open_checkpoint(tmp_path / "y.gguf"), open_checkpoint(reference))
        assert found.kind == "directional_ablation"
        (tokens,) = found.tokens
        assert tokens.strength == pytest.approx(1.0, abs=0.1)
        assert tokens.only_rounded
        assert abs(tokens.directions[:, 0] @ direction) > 0.97
        assert "and out of the embeddings (strength" in found.sentence


@pytest.mark.parametrize("name", ["eroded-Q8_0", "selective-Q8_0", "eroded-AWQ-g128", "eroded-GPTQ-4bit"])
def test_the_fine_tuned_members(member: Member, name: str) -> None:
    pytest.importorskip("compressed_tensors")
    reference = "F16" if name.endswith("Q8_0") else "hf-F16"
    assert examine(open_checkpoint(member(name)), open_checkpoint(member(reference))).kind == "low_rank_edit"
