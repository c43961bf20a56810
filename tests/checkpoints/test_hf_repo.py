"""Which files of a folder are read, and folders that lead elsewhere."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.by_hand import Stored, safetensors_bytes, stored, write_folder

from qaudit.checkpoints.hf_repo import (
    CARRIED,
    INDEX,
    MAX_CONFIG_BYTES,
    MAX_SHARDS,
    MAX_TEMPLATE_BYTES,
    read_chat_template,
    read_hf_folder,
    read_object,
)
from qaudit.errors import InputError, LimitExceeded, MalformedFile

ONE: dict[str, Stored] = {"a.weight": stored(np.ones((2, 2), np.float32))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "model", ONE)


def sharded(folder: Path, weight_map: object) -> Path:
    """Two shards and any index."""
    (folder / "model.safetensors").unlink(missing_ok=True)
    for number in (1, 2):
        tensors = {f"m{number}.weight": stored(np.full((2, 2), number, np.float32))}
        (folder / f"model-0000{number}-of-00002.safetensors").write_bytes(safetensors_bytes(tensors))
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 32}, "weight_map": weight_map}))
    return folder


BOTH = {"m1.weight": "model-00001-of-00002.safetensors", "m2.weight": "model-00002-of-00002.safetensors"}


def test_one_file(folder: Path) -> None:
    found = read_hf_folder(folder)
    assert found.path == folder
    assert found.config == {"model_type": "llama"}
    assert [w.path.name for w in found.weights] == ["model.safetensors"]
    assert (found.quantization, found.tokenizer_config, found.chat_template) == (None, {}, None)
    assert found.carried == (folder / "config.json",)


def test_shards_of_an_index(folder: Path) -> None:
    found = read_hf_folder(sharded(folder, BOTH))
    assert [w.path.name for w in found.weights] == sorted(BOTH.values())
    assert [list(w.tensors) for w in found.weights] == [["m1.weight"], ["m2.weight"]]
    assert folder / INDEX in found.carried


def test_one_file_goes_before_an_index_as_in_transformers(folder: Path) -> None:
    sharded(folder, BOTH)
    (folder / "model.safetensors").write_bytes(safetensors_bytes(ONE))
    assert [w.path.name for w in read_hf_folder(folder).weights] == ["model.safetensors"]


def test_shards_that_the_index_does_not_name_are_not_read(folder: Path) -> None:
    found = read_hf_folder(sharded(folder, {"m2.weight": BOTH["m2.weight"]}))
    assert [w.path.name for w in found.weights] == [BOTH["m2.weight"]]


def test_the_only_file_by_another_name(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "gptq_model-4bit.safetensors")
    assert [w.path.name for w in read_hf_folder(folder).weights] == ["gptq_model-4bit.safetensors"]


def test_several_files_without_an_index(folder: Path) -> None:
    sharded(folder, BOTH)
    (folder / INDEX).unlink()
    with pytest.raises(InputError, match=rf"2 safetensors files and no {INDEX}; download the index too"):
        read_hf_folder(folder)


def test_links_as_in_the_hubs_cache(tmp_path: Path, folder: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).rename(blobs / name)
        (folder / name).symlink_to(Path("..") / "blobs" / name)
    assert [w.path.name for w in read_hf_folder(folder).weights] == ["model.safetensors"]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "last.ckpt"])
def test_pickles_are_never_opened(folder: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / name)  # opening it would wait
    with pytest.raises(
        InputError, match="its weights are pickles, which are never opened; get it as safetensors"
    ):
        read_hf_folder(folder)


def test_no_weights_at_all(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="holds no safetensors; download its weights"):
        read_hf_folder(folder)


def test_no_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"model: holds no config\.json; give a GGUF file or a folder"):
        read_hf_folder(folder)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "../x.safetensors",
        "/etc/x.safetensors",
        "sub/x.safetensors",
        "..\\x.safetensors",
        "",
        ".",
        "..",
        "model.bin",
        "x.safetensors/",
        "x.safetensors\n",
        "a\0.safetensors",
        "\ud800.safetensors",
        "\u202ex.safetensors",
    ],
)
def test_an_index_that_leads_out_of_the_folder(tmp_path: Path, folder: Path, name: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(safetensors_bytes(ONE))
    sharded(folder, BOTH | {"m3.weight": name})
    with pytest.raises(MalformedFile, match=rf"{INDEX}: names .*, which is no safetensors file beside it"):
        read_hf_folder(folder)


@pytest.mark.parametrize("weight_map", [None, [], {}, "x", ["model.safetensors"]], ids=str)
def test_an_index_without_a_map(folder: Path, weight_map: object) -> None:
    with pytest.raises(MalformedFile, match=rf"{INDEX}: has no weight_map"):
        read_hf_folder(sharded(folder, weight_map))


@pytest.mark.parametrize("value", [None, 1, ["model-00001-of-00002.safetensors"], {}], ids=str)
def test_an_index_of_other_things_than_names(folder: Path, value: object) -> None:
    with pytest.raises(MalformedFile, match=rf"{INDEX}: names "):
        read_hf_folder(sharded(folder, BOTH | {"m3.weight": value}))


def test_a_missing_shard(folder: Path) -> None:
    sharded(folder, BOTH)
    (folder / BOTH["m2.weight"]).unlink()
    with pytest.raises(
        InputError, match=r"lacks model-00002-of-00002\.safetensors and 0 more; download it again"
    ):
        read_hf_folder(folder)


def test_too_many_shards(folder: Path) -> None:
    sharded(folder, {f"m{i}": f"{i}.safetensors" for i in range(MAX_SHARDS + 1)})
    with pytest.raises(LimitExceeded, match=f"{MAX_SHARDS + 1} shards, more than {MAX_SHARDS}"):
        read_hf_folder(folder)


def test_an_index_with_a_name_that_no_disk_has(folder: Path) -> None:
    sharded(folder, BOTH | {"m3.weight": "n" * 300 + ".safetensors"})
    with pytest.raises(InputError):
        read_hf_folder(folder)


def test_quantization_in_the_configuration(tmp_path: Path) -> None:
    config = {"model_type": "llama", "quantization_config": {"quant_method": "awq"}}
    folder = write_folder(tmp_path / "model", ONE, config)
    (folder / "quantize_config.json").write_text('{"bits": 8}')
    found = read_hf_folder(folder)
    assert found.quantization == {"quant_method": "awq"}
    assert found.quantization_path == folder / "config.json"


@pytest.mark.parametrize("name", ["quantize_config.json", "quant_config.json"])
def test_quantization_beside(folder: Path, name: str) -> None:
    (folder / name).write_text('{"bits": 4, "group_size": 128}')
    found = read_hf_folder(folder)
    assert found.quantization == {"bits": 4, "group_size": 128}
    assert found.quantization_path == folder / name
    assert folder / name in found.carried


@pytest.mark.parametrize("value", [[], "awq", 4, False], ids=str)
def test_quantization_that_is_no_object(tmp_path: Path, value: object) -> None:
    folder = write_folder(tmp_path / "model", ONE, {"quantization_config": value})
    with pytest.raises(MalformedFile, match=r"config\.json: quantization_config is not an object"):
        read_hf_folder(folder)


def test_the_chat_template_in_either_place(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ a }}"}))
    assert read_hf_folder(folder).chat_template == "{{ a }}"
    (folder / "chat_template.jinja").write_bytes(b"{{ b }}\xff")
    assert read_hf_folder(folder).chat_template == "{{ b }}\ufffd"
    (folder / "tokenizer_config.json").unlink()
    assert read_hf_folder(folder).chat_template == "{{ b }}\ufffd"


def test_the_chat_template_is_read_without_weights(tmp_path: Path) -> None:
    assert read_chat_template(tmp_path) is None
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ a }}"}))
    assert read_chat_template(tmp_path) == "{{ a }}"
    (tmp_path / "chat_template.jinja").write_text("{{ b }}")
    assert read_chat_template(tmp_path) == "{{ b }}"
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(MalformedFile, match="not a JSON object"):
        read_chat_template(tmp_path)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}], "d"),
        ([{"name": "tool_use", "template": "t"}], None),
        ([{"name": "default", "template": 5}], None),
        (["default", None, 1, {}], None),
        ([], None),
        (7, None),
        ({"default": "d"}, None),
        pytest.param(
            [{"name": [], "template": "x"}],
            None,
        ),
    ],
)
def test_several_chat_templates(folder: Path, given: object, found: str | None) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": given}))
    assert read_hf_folder(folder).chat_template == found


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "quantize_config.json", INDEX])
@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"a": 1, "a": 2}', "appears twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
    ids=["cut off", "empty", "list", "duplicate key", "not a number", "not UTF-8", "nested"],
)
def test_broken_small_files(folder: Path, name: str, raw: bytes, why: str) -> None:
    if name == INDEX:
        (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(raw)
    with pytest.raises(MalformedFile, match=why) as caught:
        read_hf_folder(folder)
    assert str(caught.value).startswith(str(folder / name))


@pytest.mark.parametrize(
    ("name", "limit"), [("config.json", MAX_CONFIG_BYTES), ("chat_template.jinja", MAX_TEMPLATE_BYTES)]
)
def test_small_files_that_are_not_small(folder: Path, name: str, limit: int) -> None:
    (folder / name).write_text("{}")
    os.truncate(folder / name, limit + 1)
    with pytest.raises(LimitExceeded, match=rf"{name}: longer than {limit} bytes"):
        read_hf_folder(folder)


def test_read_object(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": [1, null]}')
    value: dict[str, Any] = read_object(path)
    assert value == {"a": [1, None]}
    with pytest.raises(LimitExceeded):
        read_object(path, 5)
    with pytest.raises(InputError, match="cannot be read"):
        read_object(tmp_path / "missing.json")


def test_carried_files_are_those_that_exist_in_a_fixed_order(folder: Path) -> None:
    for name in reversed(CARRIED):
        if name not in ("config.json", INDEX, "quantize_config.json", "quant_config.json"):
            (folder / name).write_text("{}")
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    names = [path.name for path in read_hf_folder(folder).carried]
    assert names == [name for name in CARRIED if (folder / name).exists()]
    assert "modeling_evil.py" not in names
