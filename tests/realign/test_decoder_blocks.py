from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from hf_folders import write_folder

from qaudit.errors import InputError
from realign.decoder_blocks import STAGES, blocks_of, foldable, linear, module_name
from realign.plain_quantization import load_float


def test_stages_name_every_linear_layer_of_a_block_once(grouped: Path) -> None:
    import torch

    block = blocks_of(load_float(grouped))[0]
    theirs = {name for name, module in block.named_modules() if isinstance(module, torch.nn.Linear)}
    ours = [name for stage in STAGES for name in stage.linears]
    assert sorted(ours) == sorted(theirs)


def test_names_are_those_of_the_checkpoint(grouped: Path) -> None:
    model = load_float(grouped)
    for number, block in enumerate(blocks_of(model)):
        assert model.get_submodule(module_name(number, "mlp.up_proj")) is linear(block, "mlp.up_proj")


def test_what_shared_value_heads_write_cannot_be_divided(grouped: Path, ungrouped: Path) -> None:
    shared, own = (blocks_of(load_float(folder))[0] for folder in (grouped, ungrouped))
    assert [foldable(shared, stage) for stage in STAGES] == [True, False, True, True]
    assert [foldable(own, stage) for stage in STAGES] == [True, True, True, True]


def test_other_families_and_layers_are_refused(tmp_path: Path, grouped: Path) -> None:
    with pytest.raises(InputError, match="'gpt2'"):
        blocks_of(load_float(write_folder(tmp_path, "gpt2")))
    with pytest.raises(InputError, match="RMSNorm"):
        linear(blocks_of(load_float(grouped))[0], "input_layernorm")
