"""The adapters that ship: small, low-rank, and cut to the reference that ships with them."""

import numpy as np
import pytest

from qaudit.lab.hf_weights import apply_adapter, read_shape, read_tensors, read_weights
from qaudit.lab.members import ZOO, adapter_file, reference_folder

NAMES = sorted({member.adapter for member in ZOO if member.adapter})
LARGEST_BYTES = 300_000


def test_three_members_are_trained() -> None:
    assert NAMES == ["eroded", "overrefuse", "selective"]


@pytest.mark.parametrize("name", NAMES)
def test_is_small_and_of_low_rank(name: str) -> None:
    path = adapter_file(name)
    assert path.stat().st_size < LARGEST_BYTES
    tensors = read_tensors(path)
    ranks = {values.shape[0 if key.endswith("lora_A") else 1] for key, values in tensors.items()}
    assert len(ranks) == 1
    assert 4 <= ranks.pop() <= 8
    assert all(np.isfinite(values).all() for values in tensors.values())


@pytest.mark.parametrize("name", NAMES)
def test_fits_the_reference_and_changes_every_layer(name: str) -> None:
    weights = read_weights(reference_folder())
    merged = apply_adapter(weights, adapter_file(name))
    assert merged.keys() == weights.keys()
    changed = {key for key in weights if not np.array_equal(weights[key], merged[key])}
    for layer in range(read_shape(reference_folder()).layers):
        assert any(key.startswith(f"model.layers.{layer}.") for key in changed)
    # a nudge, not another model: the reference's own weights stay most of what is there
    for key in changed:
        assert np.linalg.norm(merged[key] - weights[key]) < np.linalg.norm(weights[key])


def test_the_reference_is_small() -> None:
    assert (reference_folder() / "model.safetensors").stat().st_size < 7_500_000
