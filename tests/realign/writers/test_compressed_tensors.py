from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("compressed_tensors")

from realign_packing import module_in, random_linear  # noqa: E402

from qaudit.checkpoints.codecs.schemes import Scheme  # noqa: E402
from qaudit.errors import InputError  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.writers.compressed_tensors import compressed_tensors, compressed_tensors_config  # noqa: E402


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group", [32, -1])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_reads_back_what_was_meant(tmp_path: Path, bits: int, group: int, symmetric: bool) -> None:
    grid = GroupGrid(bits, group, symmetric)
    linear = random_linear(bits, 32, 96, 96 if group == -1 else group, symmetric=symmetric)
    parts = compressed_tensors(linear, grid)
    assert ("weight_zero_point" in parts) is not symmetric
    module = module_in(tmp_path / "x.safetensors", parts)
    codec = Scheme(tmp_path, compressed_tensors_config(grid)).codec_for(module)
    assert codec.shape(module) == (32, 96)
    # the format computes in the type of its scales
    np.testing.assert_array_equal(codec.rows(module, 0, 32), linear.weight().half().float().numpy())


def test_w8a8_holds_plain_integers(tmp_path: Path) -> None:
    grid = GroupGrid(8, -1, symmetric=True)
    linear = random_linear(8, 32, 96, 96, symmetric=True)
    parts = compressed_tensors(linear, grid, eight_bit_inputs=True)
    assert parts["weight"].dtype == torch.int8
    assert torch.equal(parts["weight"].int(), linear.codes.int() - 128)
    config = compressed_tensors_config(grid, eight_bit_inputs=True)
    # what vLLM and transformers choose their kernels by
    inputs = config["config_groups"]["group_0"]["input_activations"]
    assert (inputs["num_bits"], inputs["dynamic"], inputs["strategy"]) == (8, True, "token")
    assert config["format"] == "int-quantized"
    module = module_in(tmp_path / "x.safetensors", parts)
    codec = Scheme(tmp_path, config).codec_for(module)
    np.testing.assert_array_equal(codec.rows(module, 0, 32), linear.weight().half().float().numpy())
    with pytest.raises(InputError, match="one scale an output"):
        compressed_tensors(linear, GroupGrid(8, 32, symmetric=True), eight_bit_inputs=True)


def test_shuffled_inputs_are_refused() -> None:
    with pytest.raises(InputError, match="shuffled"):
        compressed_tensors(random_linear(4, 32, 64, 16, shuffled=True), GroupGrid(4, 16, symmetric=False))


def test_weights_that_the_library_would_read_otherwise_are_refused() -> None:
    linear = random_linear(4, 32, 64, 32, symmetric=True)
    with pytest.raises(InputError, match="other weights than were meant"):
        compressed_tensors(linear, GroupGrid(3, 32, symmetric=True))
