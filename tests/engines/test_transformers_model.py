from pathlib import Path

import pytest
import torch
from hf_folders import edit_config, write_folder

from qaudit.engines import transformers_model
from qaudit.engines.protocol import EngineOptions
from qaudit.engines.transformers_model import TransformersModel
from qaudit.errors import EngineFailure, OutOfMemory

OPTIONS = EngineOptions(threads=1, judge=None, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TransformersModel:
    return TransformersModel(write_folder(tmp_path_factory.mktemp("m") / "llama", "llama"), None, OPTIONS)


def test_info_says_what_ran(model: TransformersModel) -> None:
    assert (model.info.name, model.info.device, model.info.threads) == ("transformers", "cpu", 1)
    assert model.info.version.startswith("transformers 5.")
    assert torch.__version__ in model.info.version
    assert model.info.build == "float32; weights as stored; attention sdpa"
    assert model.vocabulary == 1024


def test_context_is_no_longer_than_asked_or_trained(model: TransformersModel, tmp_path: Path) -> None:
    assert model.context_limit == 512
    folder = write_folder(tmp_path / "m", "llama")
    assert (
        TransformersModel(
            folder, None, EngineOptions(1, context_per_sequence=64, device="cpu", dtype="float32")
        ).context_limit
        == 64
    )


@pytest.mark.parametrize(
    ("family", "shares"), [("llama", True), ("phi", True), ("mistral", False), ("gemma3_text", False)]
)
def test_a_prefix_is_shared_where_every_layer_keeps_it(tmp_path: Path, family: str, shares: bool) -> None:
    assert TransformersModel(write_folder(tmp_path / family, family), None, OPTIONS).shares == shares


def test_a_cache_that_is_copied_stays_as_it_was(model: TransformersModel) -> None:
    logits, cache = model.evaluate([[5, 6, 7]], torch.ones((1, 3), dtype=torch.long), None)
    copies = model.copies(cache, 3)
    mask = torch.ones((3, 4), dtype=torch.long)
    first, _ = model.evaluate([[8], [9], [8]], mask, copies)
    assert cache.get_seq_length() == 3
    again, _ = model.evaluate([[8], [9], [8]], mask, model.copies(cache, 3))
    assert torch.equal(first, again)
    assert torch.allclose(first[0], first[2], atol=1e-5)
    assert not torch.allclose(first[0], first[1], atol=1e-2)
    assert logits.shape == (1, 1, 1024)


def test_a_model_without_a_key_value_cache_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", "llama")
    mamba = {"model_type": "mamba", "architectures": ["MambaForCausalLM"], "state_size": 4, "num_hidden_layers": 1,
             "vocab_size": 1024, "hidden_size": 32, "intermediate_size": 64}  # fmt: skip
    from transformers import MambaConfig, MambaForCausalLM

    MambaForCausalLM(
        MambaConfig(**{k: v for k, v in mamba.items() if k not in ("model_type", "architectures")})
    ).save_pretrained(folder)
    with pytest.raises(EngineFailure, match="keeps no key-value cache"):
        TransformersModel(folder, None, OPTIONS)


def test_a_failure_inside_torch_is_one_line(model: TransformersModel) -> None:
    with pytest.raises(EngineFailure, match="the model fails") as caught:
        model.evaluate([[5000]], torch.ones((1, 1), dtype=torch.long), None)
    assert "\n" not in str(caught.value)


def test_too_little_memory_says_what_to_do(model: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(model, "_model", fails)
    with pytest.raises(OutOfMemory, match="lower --parallel"):
        model.evaluate([[5], [6]], torch.ones((2, 1), dtype=torch.long), None)
    # one alone: it is the prompt, and no smaller batch would help
    with pytest.raises(EngineFailure) as caught:
        model.evaluate([[5]], torch.ones((1, 1), dtype=torch.long), None)
    assert not isinstance(caught.value, OutOfMemory)


def test_a_vocabulary_out_of_bounds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "m", "llama")
    monkeypatch.setattr(transformers_model, "MAX_VOCABULARY", 1000)
    with pytest.raises(EngineFailure, match="a vocabulary of 1024 tokens"):
        TransformersModel(folder, None, OPTIONS)
    edit_config(folder, vocab_size=None)
