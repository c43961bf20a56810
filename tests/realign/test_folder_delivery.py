"""Folders to deliver: grids, sizes told beforehand, and what does not fit refused."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.errors import InputError
from qaudit.lab.members import reference_folder
from realign.folder_delivery import FolderDelivery
from realign.grids.target import parse_target

LAYERS = 3


def delivery(to: str) -> FolderDelivery:
    return FolderDelivery(parse_target(to), HfCheckpoint(reference_folder()))


@pytest.mark.parametrize("to", ["awq:g64", "gptq:3bit", "compressed-tensors", "compressed-tensors:w8a8"])
def test_every_linear_layer_of_the_blocks_has_the_grid(to: str) -> None:
    made = delivery(to)
    grids = made.grids()
    assert len(grids) == 7 * LAYERS
    assert set(grids.values()) == {made.packing.grid}
    by_name = {t.name: t for t in made.planned()}
    assert set(grids) < set(by_name)
    tensor = by_name["model.layers.0.mlp.up_proj"]
    grid = made.packing.grid
    assert grid.bits <= 8 * tensor.size_bytes / tensor.weights < grid.bits + 1
    assert by_name["model.norm"].stored == "float"


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="whole groups"):
        delivery("awq:g96").grids()
    with pytest.raises(InputError, match="is no folder"):
        delivery("gguf:Q4_K_M")


def test_awq_searches_scales() -> None:
    assert delivery("awq").searches_scales
    assert not delivery("gptq").searches_scales


def test_inputs_are_rounded_to_eight_bits_by_w8a8_alone() -> None:
    assert delivery("compressed-tensors:w8a8").input_bits == 8
    assert delivery("compressed-tensors").input_bits is None


def test_a_folder_that_vllm_would_not_take_is_told() -> None:
    # the reference is plain floats: nothing is known against it
    assert delivery("gptq").notes(reference_folder()) == []
    assert delivery("gptq").untrained() is None
