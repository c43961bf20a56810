from pathlib import Path
from typing import Any

import pytest
from processor_time import at_most
from tensor_folders import CONFIG, file_of, llama, loud, written

from qaudit.static.case import Case
from qaudit.static.configs import inspector
from qaudit.static.configs.inspector import inspect_configs


def found(tmp_path: Path, files: dict[str, Any]) -> dict[str, str]:
    return loud(inspect_configs(written(tmp_path, files), Case()).findings)


def test_a_right_folder(tmp_path: Path) -> None:
    files = {"config.json": CONFIG, "model.safetensors": file_of(llama()), "tokenizer_config.json": {"a": 1},
             "recipe.yaml": "a: 1\n", "model.safetensors.index.json": b"{"}  # fmt: skip
    examined = inspect_configs(written(tmp_path, files), Case())
    assert examined.findings == []
    assert {s.path for s in examined.surfaces} == {"config.json", "tokenizer_config.json", "recipe.yaml"}
    assert {s.state for s in examined.surfaces} == {"examined"}
    assert examined.parts is not None
    assert examined.parts.settings["config.json:hidden_size"] == 16


def test_what_transformers_writes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    for config in (transformers.LlamaConfig(), transformers.BertConfig(), transformers.Gemma3Config()):
        config.save_pretrained(tmp_path / config.model_type)
    transformers.GenerationConfig().save_pretrained(tmp_path)
    assert found(tmp_path, {}) == {}


@pytest.mark.parametrize(
    ("files", "rules"),
    [
        ({"config.json": {"auto_map": {"AutoModel": "a.B"}}}, {"config/auto-map": "medium"}),
        ({"processor_config.json": {"auto_map": {"AutoProcessor": "e/r--a.B"}}}, {"config/auto-map-remote": "high"}),
        ({"sub/x.yaml": "a: !!python/object/apply:os.system [id]"}, {"yaml/python-tag": "critical"}),
        ({"modules.json": [{"type": "evil.X"}]}, {"library/sentence-module": "high"}),
        ({"config.json": {"quantization_config": {"quant_method": "gptq", "bits": 4}},
          "quantize_config.json": {"bits": 8}}, {"quantization/disagreement": "high"}),
        ({"config.json": {**CONFIG, "vocab_size": 64}, "model.safetensors": file_of(llama())}, {"size/embeddings": "high"}),
        ({"config.json": {"model_type": "x", "text_config": {**CONFIG, "rms_norm_eps": -1}}}, {"size/position": "medium"}),
    ],
)  # fmt: skip
def test_every_book_is_applied(tmp_path: Path, files: dict[str, Any], rules: dict[str, str]) -> None:
    assert found(tmp_path, files) == rules


def test_nested_models_are_held_against_the_weights(tmp_path: Path) -> None:
    tensors = {name.replace("model.", "language_model.model.", 1): part for name, part in llama().items()}
    files = {"config.json": {"model_type": "x", "text_config": {**CONFIG, "num_hidden_layers": 3}},
             "model.safetensors": file_of(tensors)}  # fmt: skip
    assert found(tmp_path, files) == {"size/layers": "high"}


def test_large_files_are_parsed_only_for_a_telling_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspector, "MAX_CONFIG", 100)
    filler = "x" * 200
    assert found(tmp_path, {"tokenizer.json": b'{"a": "' + filler.encode() + b'", "broken": }'}) == {}
    vocabulary = b'{"auto_map": 1, "kernels" : 22, "a": "' + filler.encode() + b'", broken}'
    assert found(tmp_path, {"tokenizer.json": vocabulary}) == {}
    assert found(tmp_path, {"tokenizer.json": {"a": filler, "auto_map": {"A": "a.B"}}}) == {
        "config/auto-map": "medium"
    }
    hidden = b'{"a":"' + filler.encode() + b'","\\u0061uto_map":{"A":"a.B"}}'
    assert found(tmp_path, {"tokenizer.json": hidden}) == {"config/auto-map": "medium"}


def test_too_many_and_too_long_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspector, "MOST_FILES", 2)
    view = written(tmp_path, {f"{i}.json": {} for i in range(4)})
    assert [s.state for s in inspect_configs(view, Case()).surfaces] == ["examined", "examined", "skipped"]
    monkeypatch.setattr(inspector, "MAX_CONFIG", 10)
    monkeypatch.setattr(inspector, "MAX_LARGE", 10)
    view = written(tmp_path / "long", {"0.json": {"a": "b" * 20}, "1.yaml": "a: " + "b" * 20})
    assert [s.state for s in inspect_configs(view, Case()).surfaces] == ["skipped", "skipped"]


def test_hostile_documents_take_no_time(tmp_path: Path) -> None:
    big = {str(i): {"auto_map": {"A": "e/r--a.B", "_target_": "os.system"}} for i in range(20_000)}
    with at_most(5):
        assert "config/auto-map-remote" in found(tmp_path, {"config.json": big, "x.json": b'{"a":' * 100_000})
