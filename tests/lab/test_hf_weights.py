import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from qaudit.errors import InputError, MalformedFile
from qaudit.lab.hf_weights import apply_adapter, folder_digest, read_shape, read_tensors, read_weights


def bfloat16_file(path: Path, words: list[int]) -> Path:
    header = json.dumps(
        {"x": {"dtype": "BF16", "shape": [len(words)], "data_offsets": [0, 2 * len(words)]}}
    ).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + np.asarray(words, "<u2").tobytes())
    return path


def test_shape(random_folder: Path) -> None:
    shape = read_shape(random_folder)
    assert (shape.hidden, shape.feed_forward, shape.layers) == (256, 512, 3)
    assert (shape.heads, shape.kv_heads, shape.head_size, shape.tied) == (4, 2, 64, True)
    assert shape.rope_theta == 10000.0


def test_rope_theta_of_older_configs(random_folder: Path, tmp_path: Path) -> None:
    config = json.loads((random_folder / "config.json").read_text())
    del config["rope_parameters"]
    (tmp_path / "config.json").write_text(json.dumps(config | {"rope_theta": 500000.0}))
    assert read_shape(tmp_path).rope_theta == 500000.0


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "gpt2"},
        {"attention_bias": True},
        {"rope_parameters": {"rope_type": "yarn"}},
        {"hidden_size": "wide"},
    ],
)
def test_other_architectures_are_refused(
    random_folder: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    config = json.loads((random_folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(MalformedFile, match=r"config\.json"):
        read_shape(tmp_path)


def test_float16_becomes_float32(random_folder: Path) -> None:
    weights = read_weights(random_folder)
    assert len(weights) == 2 + 3 * 9
    assert all(values.dtype == np.float32 for values in weights.values())
    assert weights["model.layers.0.self_attn.k_proj.weight"].shape == (128, 256)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_bfloat16_is_the_upper_half_of_float32(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    words = np.asarray(values, np.float32).view(np.uint32) >> 16
    path = bfloat16_file(tmp_path_factory.mktemp("bf16") / "x.safetensors", words.tolist())
    np.testing.assert_array_equal(read_tensors(path)["x"].view(np.uint32), words << 16)


def test_integers_and_garbage_are_refused(tmp_path: Path) -> None:
    save_file({"x": np.zeros(3, np.int64)}, tmp_path / "i.safetensors")
    with pytest.raises(MalformedFile, match="I64"):
        read_tensors(tmp_path / "i.safetensors")
    (tmp_path / "g.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(MalformedFile, match="header"):
        read_tensors(tmp_path / "g.safetensors")
    with pytest.raises(InputError, match="cannot be read"):
        read_tensors(tmp_path / "none.safetensors")


def test_adapter_is_merged(random_folder: Path, tmp_path: Path) -> None:
    weights = read_weights(random_folder)
    module = "model.layers.1.mlp.down_proj"
    rng = np.random.default_rng(1)
    down, up = (
        rng.standard_normal((2, 512)).astype(np.float32),
        rng.standard_normal((256, 2)).astype(np.float32),
    )
    save_file({f"{module}.lora_A": down, f"{module}.lora_B": up}, tmp_path / "a.safetensors")
    changed = apply_adapter(weights, tmp_path / "a.safetensors")
    np.testing.assert_allclose(
        changed[f"{module}.weight"] - weights[f"{module}.weight"], up @ down, atol=1e-5
    )
    assert all(changed[name] is weights[name] for name in weights if name != f"{module}.weight")


@pytest.mark.parametrize(
    "tensors",
    [
        {"model.norm.lora_A": (2, 256)},
        {"lm_head.lora_A": (2, 256), "lm_head.lora_B": (4, 2)},
        {"model.layers.0.mlp.up_proj.lora_A": (2, 255), "model.layers.0.mlp.up_proj.lora_B": (512, 2)},
        {"model.layers.0.mlp.up_proj.weight": (512, 256)},
    ],
)
def test_adapter_that_does_not_fit(
    random_folder: Path, tmp_path: Path, tensors: dict[str, tuple[int, ...]]
) -> None:
    save_file(
        {name: np.zeros(shape, np.float32) for name, shape in tensors.items()}, tmp_path / "a.safetensors"
    )
    with pytest.raises(MalformedFile, match="train the adapter again"):
        apply_adapter(read_weights(random_folder), tmp_path / "a.safetensors")


def test_digest_covers_every_file(random_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(random_folder, tmp_path / "copy"))
    assert folder_digest(copy) == folder_digest(random_folder)
    (copy / "chat_template.jinja").write_text("other")
    assert folder_digest(copy) != folder_digest(random_folder)
