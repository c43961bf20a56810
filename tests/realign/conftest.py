"""Tiny random Llamas with activations as real ones have them: some channels much larger than the rest."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from hf_folders import write_folder
from safetensors.torch import load_file, save_file


def with_outliers(folder: Path) -> Path:
    """Make one channel in 32 that norms write twenty times as large."""
    tensors = load_file(folder / "model.safetensors")
    for name, tensor in tensors.items():
        if "layernorm" in name:
            tensor[5::32] *= 20
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float16 folder in which two query heads share a value head; read only."""
    return with_outliers(write_folder(tmp_path_factory.mktemp("grouped") / "parent", "llama", torch.float16))


@pytest.fixture(scope="session")
def ungrouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float16 folder with a value head for each query head, and biases; read only."""
    folder = tmp_path_factory.mktemp("ungrouped") / "parent"
    return with_outliers(write_folder(folder, "qwen2", torch.float16, num_key_value_heads=4))


@pytest.fixture
def prompts() -> list[list[int]]:
    """Token ids of several lengths to calibrate on."""
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randint(4, 1000, (length,), generator=generator).tolist() for length in (9, 12, 12, 7, 9, 12)
    ]


@pytest.fixture
def held_out() -> list[list[int]]:
    """Others of the same kind."""
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(4, 1000, (length,), generator=generator).tolist() for length in (10, 10, 8, 13)]
