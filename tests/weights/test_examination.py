from collections.abc import Callable
from pathlib import Path

import pytest

from qaudit.checkpoints.opening import open_checkpoint
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


@pytest.mark.parametrize("name", ["eroded-Q8_0", "selective-Q8_0", "eroded-AWQ-g128", "eroded-GPTQ-4bit"])
def test_the_fine_tuned_members(member: Member, name: str) -> None:
    pytest.importorskip("compressed_tensors")
    reference = "F16" if name.endswith("Q8_0") else "hf-F16"
    assert examine(open_checkpoint(member(name)), open_checkpoint(member(reference))).kind == "low_rank_edit"
