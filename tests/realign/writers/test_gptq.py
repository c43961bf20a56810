from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realign_packing import module_in, random_linear  # noqa: E402

from qaudit.checkpoints.codecs.schemes import Scheme  # noqa: E402
from qaudit.errors import InputError  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.solvers.gptq import GptqOptions  # noqa: E402
from realign.writers.gptq import GptqVersion, gptq_config, gptq_tensors, version_for  # noqa: E402


@pytest.mark.parametrize("version", ["gptq", "gptq_v2"])
@pytest.mark.parametrize("shuffled", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_reads_back_bit_for_bit(
    tmp_path: Path, bits: int, symmetric: bool, shuffled: bool, version: GptqVersion
) -> None:
    for outputs, inputs, group in ((32, 64, 32), (96, 128, 128)):
        linear = random_linear(bits, outputs, inputs, group, symmetric=symmetric, shuffled=shuffled)
        module = module_in(tmp_path / "x.safetensors", gptq_tensors(linear, version))
        config = gptq_config(
            GptqOptions(GroupGrid(bits, group, symmetric), "shuffled" if shuffled else "none"), version
        )
        assert (config["desc_act"], config["sym"]) == (shuffled, symmetric)
        codec = Scheme(tmp_path, config).codec_for(module)
        assert codec.shape(module) == (outputs, inputs)
        np.testing.assert_array_equal(codec.rows(module, 0, outputs), linear.weight().numpy())


def test_known_words() -> None:
    linear = random_linear(4, 32, 32, 32, symmetric=True)
    linear.codes[:] = torch.arange(32, dtype=torch.uint8) % 16
    parts = gptq_tensors(linear)
    assert parts["qweight"].numpy().view("uint32")[:, 5].tolist() == [0x76543210, 0xFEDCBA98] * 2
    # a zero of 8 is stored as 7
    assert parts["qzeros"].numpy().view("uint32").tolist() == [[0x77777777] * 4]
    assert parts["g_idx"].tolist() == [0] * 32
    # version 2 stores it as it is
    assert gptq_tensors(linear, "gptq_v2")["qzeros"].numpy().view("uint32").tolist() == [[0x88888888] * 4]


def test_a_zero_for_each_group_needs_version_2() -> None:
    assert version_for(GroupGrid(4, 128, symmetric=True)) == "gptq"
    assert version_for(GroupGrid(2, 128, symmetric=False)) == "gptq_v2"


@pytest.mark.parametrize(
    "linear",
    [random_linear(5, 32, 32, 32), random_linear(4, 24, 32, 32), random_linear(3, 32, 48, 48)],
    ids=["5 bits", "24 outputs", "48 inputs"],
)
def test_what_the_format_cannot_hold(linear) -> None:  # noqa: ANN001
    with pytest.raises(InputError, match="does not fit GPTQ"):
        gptq_tensors(linear)
