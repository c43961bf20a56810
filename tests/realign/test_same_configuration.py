"""Two folders of the same matrices are one model only if they compute alike with them."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from hf_folders import edit_config, write_folder

from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.errors import Incomparable, InputError
from realign.float_model import Given, require_one_model
from realign.same_configuration import require_same_configuration


def check(tmp_path: Path, family: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    folders = []
    for name, changed in (("checkpoint", first), ("reference", second)):
        folder = write_folder(tmp_path / name, family)
        edit_config(folder, **changed)
        folders.append(HfCheckpoint(folder))
    require_same_configuration(*folders)
    require_one_model(Given(*folders))


@pytest.mark.parametrize(
    ("family", "changed"),
    [
        ("llama", {"rms_norm_eps": 1e-3}),
        ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}),
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"vocab_size": 1000}),
        ("llama", {"num_attention_heads": 8}),
        ("llama", {"num_key_value_heads": 4}),
        ("llama", {"hidden_act": "gelu"}),
        ("mistral", {"sliding_window": 4}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 4}),
        ("qwen3", {"head_dim": 32}),
    ],
)
def test_what_computes_otherwise_is_refused(family: str, changed: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Incomparable, match=r"checkpoint: .*the reference has") as caught:
        check(tmp_path, family, changed, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("family", "first", "second"),
    [
        ("llama", {}, {}),
        # written by another version, or by hand
        ("llama", {"rope_parameters": None, "rope_theta": 10000}, {"rope_parameters": None}),
        ("llama", {"rms_norm_eps": 9.999999974752427e-07}, {"rms_norm_eps": 1e-06}),
        ("llama", {"use_cache": False, "torch_dtype": "float16", "auto_map": {"x": "y.Z"}}, {}),
        ("llama", {"max_position_embeddings": 4096}, {}),
        ("llama", {"quantization_config": {"quant_method": "awq", "bits": 4}}, {}),
        ("qwen2", {"use_sliding_window": False, "sliding_window": 4, "max_window_layers": 3}, {}),
    ],
)
def test_what_says_the_same_in_other_words_is_not(
    family: str, first: dict[str, Any], second: dict[str, Any], tmp_path: Path
) -> None:
    folders = []
    for name, changed in (("checkpoint", first), ("reference", second)):
        edit_config(folder := write_folder(tmp_path / name, family), **changed)
        folders.append(HfCheckpoint(folder))
    require_same_configuration(*folders)


def test_a_longer_context_counts_where_positions_are_scaled_by_it(tmp_path: Path) -> None:
    scaled = {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}}
    with pytest.raises(Incomparable, match="max_position_embeddings is 4096"):
        check(tmp_path, "llama", {**scaled, "max_position_embeddings": 4096}, scaled)


def test_what_transformers_refuses_is_an_input_error(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "reference", "llama")
    bad = write_folder(tmp_path / "bad", "llama")
    edit_config(bad, hidden_size="wide")
    with pytest.raises(InputError, match="transformers refuses it"):
        require_same_configuration(HfCheckpoint(bad), HfCheckpoint(folder))
    edit_config(bad, model_type="nobody")
    with pytest.raises(InputError, match="does not know 'nobody'"):
        require_same_configuration(HfCheckpoint(bad), HfCheckpoint(folder))
    with pytest.raises(Incomparable, match="architecture 'nobody'"):
        require_one_model(Given(open_checkpoint(bad), open_checkpoint(folder)))
