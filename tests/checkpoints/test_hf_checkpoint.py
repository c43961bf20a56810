"""Folders that transformers writes, and folders that lie, as read-only checkpoints."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from checkpoints.by_hand import Stored, safetensors_bytes, stored, write_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.errors import InputError, MalformedFile
from qaudit.files import sha256_file

GOLDEN = Path(__file__).parent / "codecs" / "golden"
MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)
SMALL: dict[str, Stored] = {
    "model.proj.weight": stored(MATRIX),
    "model.norm.weight": stored(np.ones(4, np.float16)),
}


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    pytest.importorskip("transformers")
    return pytest.importorskip("torch")


def small_llama(torch: ModuleType, folder: Path, dtype: str, **how: Any) -> dict[str, Any]:
    """Save a random Llama with transformers; returns its weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(getattr(torch, dtype))
    model.save_pretrained(folder, **how)
    weights: dict[str, Any] = model.state_dict()
    return weights


def assert_holds(checkpoint: HfCheckpoint, weights: Mapping[str, Any]) -> None:
    assert set(checkpoint.names()) == {name.removesuffix(".weight") for name in weights}
    for name, weight in weights.items():
        module = name.removesuffix(".weight")
        expected = weight.float().numpy()
        expected = expected.reshape(-1, expected.shape[-1])
        assert checkpoint.shape(module) == expected.shape
        np.testing.assert_array_equal(checkpoint.rows(module), expected)
        middle = expected.shape[0] // 2
        np.testing.assert_array_equal(checkpoint.rows(module, middle), expected[middle:])
        np.testing.assert_array_equal(checkpoint.rows(module, 0, middle), expected[:middle])
    assert checkpoint.parameters == sum(weight.numel() for weight in weights.values())


@pytest.mark.parametrize(
    ("dtype", "stored_as", "bits"), [("float32", "F32", 32), ("bfloat16", "BF16", 16), ("float16", "F16", 16)]
)
def test_what_transformers_saves(
    torch: ModuleType, tmp_path: Path, dtype: str, stored_as: str, bits: int
) -> None:
    weights = small_llama(torch, tmp_path, dtype)
    checkpoint = HfCheckpoint(tmp_path)
    assert_holds(checkpoint, weights)
    assert (checkpoint.format, checkpoint.architecture, checkpoint.quantization) == (
        "safetensors",
        "llama",
        stored_as,
    )
    assert checkpoint.bits_per_weight == bits
    assert set(checkpoint.types().values()) == {stored_as}
    assert checkpoint.text("hidden_act") == "silu"
    assert checkpoint.text("hidden_size") is None


def test_shards_that_transformers_saves(torch: ModuleType, tmp_path: Path) -> None:
    weights = small_llama(torch, tmp_path, "bfloat16", max_shard_size="20KB")
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 1
    checkpoint = HfCheckpoint(tmp_path)
    assert_holds(checkpoint, weights)
    told = {file.path: file for file in checkpoint.info.files}
    assert {path.name for path in shards} < told.keys()
    for path in [*shards, tmp_path / "config.json", tmp_path / "model.safetensors.index.json"]:
        assert (told[path.name].sha256, told[path.name].size) == (sha256_file(path), path.stat().st_size)


def test_the_digest_does_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    first, second = (HfCheckpoint(write_folder(tmp_path / name, SMALL)) for name in ("a", "b"))
    assert first.info.sha256 == second.info.sha256
    assert first.info.path != second.info.path
    assert [file.path for file in first.info.files] == ["config.json", "model.safetensors"]
    other = write_folder(tmp_path / "c", SMALL, {"model_type": "llama", "rope_theta": 5})
    assert HfCheckpoint(other).info.sha256 != first.info.sha256


def test_a_vector_is_one_row_and_a_stranger_is_a_module(tmp_path: Path) -> None:
    tensors = {
        "model.proj.weight": stored(MATRIX),
        "model.proj.bias": stored(np.array([1, 2, 3], np.float32)),
        "model.inv_freq": stored(np.array([0.5], np.float32)),
        "weight": stored(np.array([7.0], np.float32)),
        "experts.down": stored(np.arange(24, dtype=np.float32).reshape(2, 3, 4)),
    }
    checkpoint = HfCheckpoint(write_folder(tmp_path / "x", tensors))
    assert list(checkpoint.names()) == [
        "model.proj",
        "model.proj.bias",
        "model.inv_freq",
        "weight",
        "experts.down",
    ]
    assert checkpoint.rows("model.proj.bias").tolist() == [[1, 2, 3]]
    assert checkpoint.rows("weight").tolist() == [[7]]
    assert checkpoint.shape("experts.down") == (6, 4)
    assert checkpoint.rows("experts.down", 4, 6).tolist() == [[16, 17, 18, 19], [20, 21, 22, 23]]
    assert checkpoint.parameters == 12 + 3 + 1 + 1 + 24


def test_parts_belong_to_their_module(tmp_path: Path) -> None:
    golden = load_file(GOLDEN / "awq_32x128.safetensors")
    tensors = {
        f"model.layers.0.q_proj.{part}": stored(golden[f"gemm.{part}"])
        for part in ("qweight", "qzeros", "scales")
    }
    tensors["model.layers.0.q_proj.bias"] = stored(np.zeros(32, np.float16))
    tensors["lm_head.weight"] = stored(np.ones((8, 32), np.float16))
    config = {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm"}}
    checkpoint = HfCheckpoint(write_folder(tmp_path / "x", tensors, config))
    assert set(checkpoint.names()) == {"model.layers.0.q_proj", "model.layers.0.q_proj.bias", "lm_head"}
    assert checkpoint.quantization == "AWQ 4-bit g32"
    assert checkpoint.architecture == "unknown"
    np.testing.assert_array_equal(checkpoint.rows("model.layers.0.q_proj", 3, 21), golden["decoded"][3:21])
    assert checkpoint.types()["model.layers.0.q_proj"] == "I32"
    assert checkpoint.parameters == 32 * 128 + 32 + 8 * 32
    # 4 bits, a zero and a scale for each group of 32, and what was left alone
    stored_bits = 32 * 128 * 4 + 32 * 4 * (4 + 16) + (32 + 8 * 32) * 16
    assert checkpoint.bits_per_weight == stored_bits / checkpoint.parameters


def test_bitsandbytes_parts_of_three_names(tmp_path: Path) -> None:
    golden = load_bytes(GOLDEN / "bnb_4bit_many.safetensors")
    decoded = golden.pop("decoded.many.bfloat16")
    config = {
        "quantization_config": {
            "quant_method": "bitsandbytes",
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
        }
    }
    checkpoint = HfCheckpoint(write_folder(tmp_path / "x", golden, config))
    assert list(checkpoint.names()) == ["many.bfloat16"]
    assert checkpoint.shape("many.bfloat16") == (65, 130)
    expected = np.frombuffer(decoded[2], np.uint16).astype(np.uint32) << 16
    np.testing.assert_array_equal(checkpoint.rows("many.bfloat16").view(np.uint32).ravel(), expected)
    assert checkpoint.quantization == "bitsandbytes nf4 4-bit"


def load_bytes(path: Path) -> dict[str, Stored]:
    """Take a file apart without a library (numpy has no bfloat16)."""
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:end])
    return {
        name: (
            entry["dtype"],
            tuple(entry["shape"]),
            raw[end + entry["data_offsets"][0] : end + entry["data_offsets"][1]],
        )
        for name, entry in header.items()
        if name != "__metadata__"
    }


def test_quantize_config_beside(tmp_path: Path) -> None:
    tensors = {
        "m.qweight": stored(np.full((4, 8), 0x11111111, np.int32)),
        "m.qzeros": stored(np.zeros((1, 1), np.int32)),
        "m.scales": stored(np.full((1, 8), 2, np.float16)),
    }
    folder = write_folder(tmp_path / "x", tensors)
    with pytest.raises(MalformedFile, match="m: is packed, but the configuration names no way to unpack it"):
        HfCheckpoint(folder).shape("m")
    (folder / "quantize_config.json").write_text('{"bits": 4, "group_size": 32, "desc_act": false}')
    checkpoint = HfCheckpoint(folder)
    assert checkpoint.quantization == "GPTQ 4-bit g32"
    assert (checkpoint.rows("m") == 0).all()
    (folder / "quantize_config.json").write_text(
        '{"bits": 4, "group_size": 32, "checkpoint_format": "gptq_v2"}'
    )
    assert (HfCheckpoint(folder).rows("m") == 2).all()
    (folder / "quantize_config.json").write_text('{"bits": 6}')
    with pytest.raises(MalformedFile, match=r"quantize_config\.json: GPTQ of 6 bits"):
        HfCheckpoint(folder)


@settings(max_examples=50, deadline=None)
@given(start=st.integers(-2, 6), stop=st.none() | st.integers(-2, 6))
def test_any_range_is_a_slice_or_refused(tmp_path: Path, start: int, stop: int | None) -> None:
    checkpoint = HfCheckpoint(write_folder(tmp_path / "x", SMALL))
    end = 3 if stop is None else stop
    if 0 <= start <= end <= 3:
        np.testing.assert_array_equal(checkpoint.rows("model.proj", start, stop), MATRIX[start:end])
    else:
        with pytest.raises(InputError, match=r"model\.proj has 3 rows, not "):
            checkpoint.rows("model.proj", start, stop)


def test_more_than_two_gibibytes_at_once(tmp_path: Path) -> None:
    # sparse: the bytes are on no disk
    folder = write_folder(tmp_path / "x", {})
    header = {"m.weight": {"dtype": "F8_E4M3", "shape": [1 << 15, 1 << 15], "data_offsets": [0, 1 << 30]}}
    raw = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw)
    os.truncate(folder / "model.safetensors", 8 + len(raw) + (1 << 30))
    checkpoint = HfCheckpoint(folder)
    assert checkpoint.parameters == 1 << 30
    with pytest.raises(InputError, match="m: more than 2 GiB of rows at once; ask for fewer"):
        checkpoint.rows("m")
    assert not checkpoint.rows("m", 5, 7).any()


def test_no_such_module(tmp_path: Path) -> None:
    checkpoint = HfCheckpoint(write_folder(tmp_path / "x", SMALL))
    for ask in (checkpoint.shape, checkpoint.rows):
        with pytest.raises(InputError, match=r"has no module 'model\.proj\.weight'; see names\(\)"):
            ask("model.proj.weight")


def test_no_weights_in_the_file(tmp_path: Path) -> None:
    checkpoint = HfCheckpoint(write_folder(tmp_path / "x", {}))
    assert (list(checkpoint.names()), checkpoint.parameters, checkpoint.bits_per_weight) == ([], 0, 0)
    assert checkpoint.quantization == "none"


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", SMALL)
    (folder / "model.safetensors").unlink()
    for name in ("a.safetensors", "b.safetensors"):
        (folder / name).write_bytes(safetensors_bytes(SMALL))
    index = {"weight_map": {"model.proj.weight": "a.safetensors", "model.norm.weight": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        MalformedFile, match=r"b\.safetensors: tensor 'model\.proj\.weight' is in a\.safetensors too"
    ):
        HfCheckpoint(folder)


def test_parts_of_a_module_in_two_shards(tmp_path: Path) -> None:
    golden = load_file(GOLDEN / "awq_32x64.safetensors")
    config = {"quantization_config": {"quant_method": "awq", "group_size": 64}}
    folder = write_folder(tmp_path / "x", {}, config)
    (folder / "model.safetensors").unlink()
    places = {"qweight": "a.safetensors", "qzeros": "b.safetensors", "scales": "b.safetensors"}
    for name in ("a.safetensors", "b.safetensors"):
        tensors = {
            f"m.{part}": stored(golden[f"gemm.{part}"]) for part, place in places.items() if place == name
        }
        (folder / name).write_bytes(safetensors_bytes(tensors))
    index = {"weight_map": {f"m.{part}": place for part, place in places.items()}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    np.testing.assert_array_equal(HfCheckpoint(folder).rows("m"), golden["decoded"])


@pytest.mark.parametrize("order", [("m", "m.weight"), ("m.weight", "m")], ids=str)
def test_a_tensor_with_the_name_of_a_module(tmp_path: Path, order: tuple[str, str]) -> None:
    folder = write_folder(tmp_path / "x", {name: stored(MATRIX) for name in order})
    try:
        checkpoint = HfCheckpoint(folder)
    except MalformedFile:
        return
    assert checkpoint.parameters == 2 * MATRIX.size


def test_a_model_type_that_is_no_text(tmp_path: Path) -> None:
    assert HfCheckpoint(write_folder(tmp_path / "x", SMALL, {"model_type": 5})).architecture == "unknown"
    with pytest.raises(MalformedFile, match="model_type is not printable text"):
        HfCheckpoint(write_folder(tmp_path / "x", SMALL, {"model_type": "\x1b[2J"}))


@pytest.mark.parametrize("how", ["written to", "replaced", "removed"])
def test_a_file_changed_after_opening(tmp_path: Path, how: str) -> None:
    folder = write_folder(tmp_path / "x", SMALL)
    checkpoint = HfCheckpoint(folder)
    checkpoint.require_unchanged()
    weights = folder / "model.safetensors"
    raw = weights.read_bytes()
    weights.unlink()
    if how == "written to":
        weights.write_bytes(raw[:-1] + b"x")
    elif how == "replaced":
        # the same bytes, but who knows what they will be a moment later
        weights.write_bytes(raw)
    for ask in (checkpoint.require_unchanged, lambda: checkpoint.rows("model.proj"), lambda: checkpoint.info):
        with pytest.raises(InputError, match=r"model\.safetensors: (changed since|cannot be read)"):
            ask()


def test_broken_parts_name_file_and_module(tmp_path: Path) -> None:
    config = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    folder = write_folder(tmp_path / "x", {"m.qweight": stored(np.zeros((16, 8), np.int32))}, config)
    checkpoint = HfCheckpoint(folder)
    for ask in (lambda: checkpoint.info, lambda: checkpoint.parameters, lambda: checkpoint.rows("m")):
        with pytest.raises(MalformedFile, match=r"model\.safetensors: m: has no scales"):
            ask()
