"""Members that are folders: the reference without torch, the others with it."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.errors import MissingExtra
from qaudit.lab import folders
from qaudit.lab.build import Built, LeftOut, Started, build
from qaudit.lab.folders import make_folder_member, missing_tools, recipes
from qaudit.lab.hf_weights import read_weights
from qaudit.lab.members import HF_REFERENCE, LAB_VERSION, ZOO, reference_folder

MEMBERS = {member.name: member for member in ZOO}


@pytest.fixture
def _without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        folders.importlib.util, "find_spec", lambda name: None if name == "torch" else found(name)
    )


def test_the_reference_is_what_ships(tmp_path: Path) -> None:
    make_folder_member(tmp_path / HF_REFERENCE, MEMBERS[HF_REFERENCE])
    checkpoint = open_checkpoint(tmp_path / HF_REFERENCE)
    # by this an audit knows which suites to ask
    assert checkpoint.text("qaudit.lab.version") == LAB_VERSION
    assert checkpoint.text("qaudit.lab.member") == HF_REFERENCE
    assert checkpoint.quantization == "F16"
    shipped = open_checkpoint(reference_folder())
    assert checkpoint.tokenizer_digest == shipped.tokenizer_digest
    assert checkpoint.chat_template == shipped.chat_template
    for name in shipped.names():
        np.testing.assert_array_equal(checkpoint.rows(name), shipped.rows(name))


def test_the_reference_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from qaudit.lab.build import build\n"
        "list(build(Path(sys.argv[1]), ['hf-F16']))\n"
        "sys.exit(bool({'torch', 'llama_cpp', 'safetensors', 'realign'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0
    assert (tmp_path / "hf-F16" / "model.safetensors").is_file()


@pytest.mark.usefixtures("_without_torch")
def test_a_named_member_without_its_tools_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingExtra, match=r"torch is not installed; run: pip install 'qaudit\[hf\]'"):
        list(build(tmp_path / "out", ["AWQ-g128"]))
    assert not (tmp_path / "out").exists()
    assert isinstance(list(build(tmp_path, [HF_REFERENCE]))[-1], Built)


@pytest.mark.usefixtures("_without_torch")
def test_of_the_whole_zoo_they_are_left_out(tmp_path: Path) -> None:
    events = build(tmp_path)
    first = next(events)
    assert isinstance(first, LeftOut)
    assert {member.name for member in first.members} == {member.name for member in ZOO if member.needs_torch}
    assert first.missing.extra == "hf"
    second = next(events)
    assert isinstance(second, Started)
    assert second.total == len(ZOO) - len(first.members)
    events.close()


def test_the_tools_are_here() -> None:
    pytest.importorskip("torch")
    assert missing_tools() is None


def test_every_quantized_folder_has_a_recipe() -> None:
    pytest.importorskip("torch")
    assert set(recipes()) == {member.quantization for member in ZOO if member.needs_torch}


@pytest.mark.parametrize(
    ("name", "described"),
    [("GPTQ-3bit", "GPTQ 3-bit g128"), ("W4A16", "compressed-tensors pack-quantized 4-bit")],
)
def test_a_quantized_member_in_the_manifest(tmp_path: Path, name: str, described: str) -> None:
    pytest.importorskip("torch")
    assert [event.cached for event in build(tmp_path, [name]) if isinstance(event, Started)] == [False, False]
    assert [event.cached for event in build(tmp_path, [name]) if isinstance(event, Started)] == [True, True]
    rows = json.loads((tmp_path / "zoo.json").read_text())
    assert [(row["name"], row["path"], row["reference"], row["format"]) for row in rows] == [
        (HF_REFERENCE, HF_REFERENCE, HF_REFERENCE, "safetensors"),
        (name, name, HF_REFERENCE, MEMBERS[name].format),
    ]
    checkpoint = open_checkpoint(tmp_path / name)
    assert checkpoint.quantization == described
    assert checkpoint.text("qaudit.lab.member") == name
    # near the reference, and not it
    module = "model.layers.1.mlp.down_proj"
    off = checkpoint.rows(module) - read_weights(reference_folder())[f"{module}.weight"]
    assert 0 < np.linalg.norm(off) < 0.5 * np.linalg.norm(checkpoint.rows(module))
