from pathlib import Path

import pytest
from tensor_folders import file_of, written

from qaudit.static.case import Case
from qaudit.static.tensors import index
from qaudit.static.tensors.index import inspect_index

NAMES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def test_surfaces(tmp_path: Path) -> None:
    view = written(
        tmp_path,
        {
            "model.safetensors.index.json": {"weight_map": {"a": NAMES[0], "b": NAMES[1]}},
            NAMES[0]: file_of({"a": ("F32", (1,), None)}),
        },
    )
    states = {surface.path: surface.state for surface in inspect_index(view, Case()).surfaces}
    assert states == {NAMES[1]: "absent", "model.safetensors.index.json": "examined"}


def test_a_huge_index_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MAX_INDEX", 10)
    view = written(tmp_path, {"model.safetensors.index.json": {"weight_map": {"a": NAMES[0]}}})
    (surface,) = inspect_index(view, Case()).surfaces
    assert surface.state == "skipped"


def test_what_transformers_writes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    )
    model = transformers.LlamaForCausalLM(config).to(torch.float16)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    examined = inspect_index(written(tmp_path, {}), Case())
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert examined.findings == []
    assert [surface.state for surface in examined.surfaces] == ["examined"]
