import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file  # noqa: E402

from qaudit.checkpoints.hf_repo import read_hf_folder  # noqa: E402
from qaudit.errors import InputError, OutputProblem  # noqa: E402
from qaudit.lab.members import reference_folder  # noqa: E402
from realign.writers.hf_folder import write_hf_folder  # noqa: E402

TENSORS = {f"t{n}": torch.full((4, 8), float(n), dtype=torch.float16) for n in range(5)}


def test_carries_the_tokenizer_over_and_says_how_it_is_packed(tmp_path: Path) -> None:
    target = tmp_path / "new"
    write_hf_folder(target, reference_folder(), TENSORS, {"quant_method": "awq"}, more={"my": "key"})
    folder = read_hf_folder(target)
    assert folder.quantization == {"quant_method": "awq"}
    assert folder.config["my"] == "key"
    assert folder.config["hidden_size"] == 256
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (target / name).read_bytes() == (reference_folder() / name).read_bytes()
    assert folder.weights[0].metadata == {"format": "pt"}
    written = load_file(target / "model.safetensors")
    assert all(torch.equal(written[name], tensor) for name, tensor in TENSORS.items())
    modes = {path.name: path.stat().st_mode for path in target.iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]


def test_several_files(tmp_path: Path) -> None:
    write_hf_folder(tmp_path / "new", reference_folder(), TENSORS, shard_bytes=130)
    index = json.loads((tmp_path / "new" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 5 * 64
    assert sorted(index["weight_map"]) == sorted(TENSORS)
    folder = read_hf_folder(tmp_path / "new")
    assert [sorted(file.tensors) for file in folder.weights] == [["t0", "t1"], ["t2", "t3"], ["t4"]]
    assert folder.quantization is None


def test_a_tensor_larger_than_a_shard_gets_one_of_its_own(tmp_path: Path) -> None:
    write_hf_folder(tmp_path / "new", reference_folder(), TENSORS, shard_bytes=10)
    assert [len(file.tensors) for file in read_hf_folder(tmp_path / "new").weights] == [1] * 5


def test_replaces_all_of_what_was_there(tmp_path: Path) -> None:
    write_hf_folder(tmp_path / "new", reference_folder(), TENSORS, shard_bytes=130)
    write_hf_folder(tmp_path / "new", reference_folder(), TENSORS)
    assert not list((tmp_path / "new").glob("*.index.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_bad_places_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is the parent"):
        write_hf_folder(reference_folder(), reference_folder(), TENSORS)
    with pytest.raises(InputError, match="config"):
        write_hf_folder(tmp_path / "new", tmp_path, TENSORS)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputProblem, match="not a folder"):
        write_hf_folder(tmp_path / "file", reference_folder(), TENSORS)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
