from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realign_packing import module_in, random_linear  # noqa: E402

from qaudit.checkpoints.codecs.schemes import Scheme  # noqa: E402
from qaudit.errors import InputError  # noqa: E402
from realign.writers.awq import awq_config, awq_tensors  # noqa: E402


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("outputs", "inputs", "group"), [(8, 32, 32), (64, 128, 32), (24, 96, 96)])
def test_reads_back_bit_for_bit(
    tmp_path: Path, outputs: int, inputs: int, group: int, symmetric: bool
) -> None:
    linear = random_linear(4, outputs, inputs, group, symmetric=symmetric)
    module = module_in(tmp_path / "x.safetensors", awq_tensors(linear))
    codec = Scheme(tmp_path, awq_config(group)).codec_for(module)
    assert codec.shape(module) == (outputs, inputs)
    np.testing.assert_array_equal(codec.rows(module, 0, outputs), linear.weight().numpy())


def test_order_within_a_word() -> None:
    linear = random_linear(4, 8, 8, 8)
    linear.codes[:] = torch.arange(8, dtype=torch.uint8)[:, None]
    parts = awq_tensors(linear)
    # from the lowest bit: outputs 0 2 4 6 1 3 5 7
    assert parts["qweight"].numpy().view("uint32").tolist() == [[0x75316420]] * 8
    assert parts["scales"].shape == (1, 8)
    assert parts["qzeros"].shape == (1, 1)


@pytest.mark.parametrize(
    "linear",
    [random_linear(3, 8, 32, 32), random_linear(4, 12, 32, 32), random_linear(4, 8, 32, 8, shuffled=True)],
    ids=["3 bits", "12 outputs", "shuffled"],
)
def test_what_the_format_cannot_hold(linear) -> None:  # noqa: ANN001
    with pytest.raises(InputError, match="do not fit AWQ"):
        awq_tensors(linear)
