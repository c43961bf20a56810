import json
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hf_folders import edit_config, write_folder  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from qaudit.checkpoints.opening import open_checkpoint  # noqa: E402
from qaudit.errors import InputError  # noqa: E402
from realign.activation_stream import stream, token_batches  # noqa: E402
from realign.float_model import Given, load_floats  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.plain_quantization import GptqRecipe, load_float, quantize_folder  # noqa: E402
from realign.solvers.gptq import GptqOptions  # noqa: E402
from realign.stored_blocks import stored_blocks  # noqa: E402


def last_states(blocks: object, prompts: list[list[int]]) -> torch.Tensor:
    """The residual stream after every block at each prompt's last token: [L, N, D]."""
    return torch.stack([layer.last for layer in stream(blocks, token_batches(prompts))])


@pytest.mark.parametrize("folder", ["grouped", "ungrouped"])
def test_a_folder_streams_as_it_loads(
    folder: str, prompts: list[list[int]], request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(folder)
    found = last_states(stored_blocks(open_checkpoint(path)), prompts)
    assert torch.equal(found, last_states(load_float(path), prompts))


def streams_as_it_loads(path: Path, reference: Path, prompts: list[list[int]]) -> None:
    checkpoint = open_checkpoint(path)
    whole = load_floats(Given(checkpoint, open_checkpoint(reference)), checkpoint, "cpu")
    found = last_states(stored_blocks(checkpoint), prompts)
    torch.testing.assert_close(found, last_states(whole, prompts), rtol=1e-5, atol=1e-5)


def test_a_quantized_gguf_streams_as_it_loads(
    prompts: list[list[int]], member: Callable[[str], Path]
) -> None:
    streams_as_it_loads(member("Q4_K_M"), member("F16"), prompts)


def test_a_quantized_folder_streams_as_it_loads(
    ungrouped: Path, tmp_path: Path, prompts: list[list[int]]
) -> None:
    recipe = GptqRecipe(GptqOptions(GroupGrid(bits=4, group_size=32, symmetric=True)))
    quantize_folder(ungrouped, tmp_path / "packed", recipe, ["some text to calibrate on", "and some more"])
    streams_as_it_loads(tmp_path / "packed", ungrouped, prompts)


def test_one_block_is_held(grouped: Path) -> None:
    blocks = stored_blocks(open_checkpoint(grouped))
    held = [name for name, p in blocks.model.named_parameters() if p.device.type != "meta"]
    assert held == ["model.embed_tokens.weight"]
    with blocks.lent(2, torch.device("cpu")) as block:
        stored = load_file(grouped / "model.safetensors")
        for name, parameter in block.named_parameters():
            assert torch.equal(parameter, stored[f"model.layers.2.{name}"].float())
    assert {p.device.type for p in blocks.model.model.layers.parameters()} == {"meta"}


def test_a_folder_stands_in_for_the_metadata_of_a_gguf(
    prompts: list[list[int]], member: Callable[[str], Path]
) -> None:
    folder, gguf = open_checkpoint(member("hf-F16")), open_checkpoint(member("F16"))
    found = last_states(stored_blocks(gguf, folder), prompts)
    torch.testing.assert_close(found, last_states(stored_blocks(gguf), prompts))


def test_a_family_that_is_not_known(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "gpt2")
    with pytest.raises(InputError, match="'gpt2' are not quantized here"):
        stored_blocks(open_checkpoint(folder))


def test_weights_that_are_missing(tmp_path: Path, prompts: list[list[int]]) -> None:
    folder = write_folder(tmp_path / "model", "llama")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks model\.layers\.1\.mlp\.up_proj\.weight"):
        last_states(stored_blocks(open_checkpoint(folder)), prompts)


def test_weights_of_another_size(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "llama")
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    edit_config(folder, vocab_size=size - 24)
    with pytest.raises(
        InputError, match=r"model\.embed_tokens\.weight is \[1024, 64\], config\.json says \[1000, 64\]"
    ):
        stored_blocks(open_checkpoint(folder))
