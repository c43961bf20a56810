"""What is loaded from a folder that nobody vouches for, and what is not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
from hf_folders import edit_config, write_folder
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.engines.protocol import EngineOptions
from qaudit.engines.transformers_loading import _in_shape, empty_network, load_network
from qaudit.errors import EngineFailure, InputError

OPTIONS = EngineOptions(threads=1, judge=None, device="cpu", dtype="float32", kernels="auto")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("llama") / "model", "llama")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def test_plain_weights_are_loaded_as_stored(whole: Path) -> None:
    network = load_network(whole, None, OPTIONS)
    assert network.how == "as stored"
    stored = load_file(whole / "model.safetensors")
    loaded = network.model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in stored.items())
    assert not network.model.training


def test_the_type_is_the_one_chosen(whole: Path) -> None:
    assert (
        load_network(whole, None, EngineOptions(1, device="cpu", dtype="bfloat16")).model.dtype
        == torch.bfloat16
    )


def test_a_model_without_weights_has_the_shapes_of_the_whole(whole: Path) -> None:
    config = json.loads((whole / "config.json").read_text())
    empty = empty_network(whole, "llama", {**config, "auto_map": {"AutoConfig": "evil.Config"}})
    loaded = load_network(whole, None, OPTIONS).model
    assert {n: p.shape for n, p in empty.named_parameters()} == {
        n: p.shape for n, p in loaded.named_parameters()
    }
    assert {p.device.type for p in empty.parameters()} == {"meta"}
    assert empty.config._attn_implementation == loaded.config._attn_implementation
    assert not empty.training
    with pytest.raises(EngineFailure, match="its own code is never run"):
        empty_network(whole, "evil", config)
    with pytest.raises(EngineFailure, match="does not build it"):
        empty_network(whole, "llama", {**config, "num_attention_heads": 0})


def test_code_in_the_folder_is_never_run(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (folder / "modeling_evil.py").write_text(f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n")
    evil = {"AutoConfig": "modeling_evil.Config", "AutoModelForCausalLM": "modeling_evil.Model"}
    edit_config(folder, auto_map=evil)
    assert load_network(folder, None, OPTIONS).how == "as stored"
    edit_config(folder, model_type="evil")
    with pytest.raises(EngineFailure, match="its own code is never run") as caught:
        load_network(folder, None, OPTIONS)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_pickled_weights_are_never_opened(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="pickle"):
        load_network(folder, None, OPTIONS)


def test_a_missing_weight_is_not_made_up(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        EngineFailure, match=r"1 weights are missing .* model\.layers\.1\.mlp\.up_proj\.weight"
    ):
        load_network(folder, None, OPTIONS)


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden_size": 128},
        {"num_hidden_layers": 5},
        {"num_attention_heads": 0},
        {"num_attention_heads": "many"},
        {"hidden_act": "none such"},
        {"model_type": "bert"},
        {"model_type": None},
        {"vocab_size": -1},
        {"rope_parameters": {"rope_type": "odd"}},
    ],
    ids=str,
)
def test_a_configuration_that_lies_is_refused_in_one_line(folder: Path, changed: dict[str, object]) -> None:
    edit_config(folder, **changed)
    with pytest.raises((EngineFailure, InputError)) as caught:
        load_network(folder, None, OPTIONS)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value) or "weights are missing" in str(caught.value)


def test_a_model_that_is_not_causal_is_refused(folder: Path) -> None:
    edit_config(folder, model_type="t5", architectures=["T5ForConditionalGeneration"])
    with pytest.raises(EngineFailure, match="no causal language model"):
        load_network(folder, None, OPTIONS)


@pytest.fixture(scope="module")
def packed(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model in compressed-tensors' w4a16, packed by that library itself."""
    folder = tmp_path_factory.mktemp("packed") / "model"
    model = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32)
    scheme = {
        "group_0": {
            "targets": ["Linear"],
            "weights": {
                "num_bits": 4,
                "type": "int",
                "symmetric": True,
                "strategy": "group",
                "group_size": 32,
            },
        }
    }
    config = QuantizationConfig(config_groups=scheme, ignore=["lm_head"], format="pack-quantized")
    apply_quantization_config(model, config)
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            groups = module.weight.detach().reshape(module.weight.shape[0], -1, 32)
            module.weight_scale.data = (groups.abs().amax(-1) / 7).clamp(min=1e-6)
    compressor = ModelCompressor.from_pretrained_model(model)
    assert compressor is not None
    compressor.compress_model(model)
    model.save_pretrained(folder)
    compressor.update_config(folder)
    shutil.copy(whole / "tokenizer.json", folder / "tokenizer.json")
    return folder


def test_quantized_weights_are_decoded(packed: Path) -> None:
    network = load_network(packed, None, OPTIONS)
    assert network.how.startswith("compressed-tensors pack-quantized")
    checkpoint = open_checkpoint(packed)
    for name in ("model.layers.0.self_attn.q_proj", "model.layers.3.mlp.down_proj", "model.norm", "lm_head"):
        loaded = network.model.get_submodule(name).weight.detach().numpy()
        np.testing.assert_array_equal(loaded.reshape(checkpoint.shape(name)), checkpoint.rows(name))


def test_the_librarys_own_kernels_run_where_they_are_insisted_on(packed: Path) -> None:
    options = EngineOptions(1, judge=None, device="cpu", dtype="float32", kernels="always")
    network = load_network(packed, None, options)
    assert network.how == "quantized kernels"
    ids = torch.arange(10, 40)[None]
    with torch.inference_mode():
        theirs = network.model(ids).logits
        ours = load_network(packed, None, OPTIONS).model(ids).logits
    torch.testing.assert_close(theirs, ours, atol=2e-3, rtol=1e-3)


def test_kernels_that_are_not_there_are_named(packed: Path) -> None:
    shutil.copytree(packed, odd := packed.parent / "odd", dirs_exist_ok=True)
    config = json.loads((odd / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [32, 32]}
    (odd / "config.json").write_text(json.dumps(config))
    options = EngineOptions(1, judge=None, device="cpu", dtype="float32", kernels="always")
    with pytest.raises((EngineFailure, InputError), match=r"no kernels run FP8|does not load"):
        load_network(odd, None, options)


def test_no_other_weights_than_those_that_are_hashed_are_run(folder: Path) -> None:
    # a folder may name other files in its configuration; the audit reads and hashes model.safetensors
    hashed = load_file(folder / "model.safetensors")
    save_file({n: t * 0 for n, t in hashed.items()}, folder / "other.safetensors", {"format": "pt"})
    edit_config(folder, transformers_weights="other.safetensors")
    loaded = load_network(folder, None, OPTIONS).model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in hashed.items())


def test_no_other_configuration_than_the_parsed_one_is_run(folder: Path) -> None:
    other = {**json.loads((folder / "config.json").read_text()), "rms_norm_eps": 0.5}
    (folder / "config.4.0.0.json").write_text(json.dumps(other))
    edit_config(folder, configuration_files=["config.4.0.0.json"], attn_implementation="kernels-community/x")
    network = load_network(folder, None, OPTIONS)
    assert network.model.config.rms_norm_eps != 0.5
    assert network.model.config._attn_implementation == "sdpa"


def test_an_adapter_beside_the_weights_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(EngineFailure, match="merge the adapter"):
        load_network(folder, None, OPTIONS)


@pytest.mark.parametrize(
    ("held", "expected", "shape"),
    [((1, 6), (6,), (6,)), ((6, 4), (2, 3, 4), (2, 3, 4)), ((2, 3), (3, 2), (2, 3)), ((2, 3), None, (2, 3))],
)
def test_only_vectors_and_stacks_take_another_shape(
    held: tuple[int, ...], expected: tuple[int, ...] | None, shape: tuple[int, ...]
) -> None:
    tensor = torch.arange(float(np.prod(held))).reshape(held)
    found = _in_shape(tensor, torch.Size(expected) if expected else None)
    assert tuple(found.shape) == shape
    assert torch.equal(found.flatten(), tensor.flatten())
