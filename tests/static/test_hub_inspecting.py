"""Whole inspections of a hub's repositories, by the real client, against a hub on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from attacks.honest_models import honest_folder, honest_gguf
from loopback_hub import LoopbackHub

from qaudit.static.inspecting import inspect_target

PICKLE = b"cos\nsystem\n(S'true'\ntR."


def repository(**changed: str | bytes) -> dict[str, bytes]:
    return {
        name: content.encode() if isinstance(content, str) else content
        for name, content in honest_folder(**changed).items()
    }


def test_a_clean_gguf_costs_its_header(hub: LoopbackHub) -> None:
    data = honest_gguf().build()
    commit = hub.push("o/r", {"q.gguf": data, "README.md": b"# A model\n"})
    found = inspect_target("hf://o/r/q.gguf")
    assert (found.status, found.target) == ("pass", f"hf://o/r@{commit}/q.gguf")
    assert [f for f in found.findings if f.severity != "info"] == []
    assert not any("README" in asked.path for asked in hub.asked)


def test_of_a_large_file_only_the_header_is_fetched(hub: LoopbackHub) -> None:
    from attacks.gguf_builder import Tensor

    # 48 MB of weights in one tensor
    rows = 1 << 12
    big = honest_gguf(tensors=[Tensor("token_embd.weight", (3072, rows), 0, bytes(3072 * rows * 4))])
    hub.push("o/r", {"big.gguf": big.build()})
    found = inspect_target("hf://o/r/big.gguf")
    assert int(found.facts["fetched_bytes"]) < 1 << 20
    assert hub.bytes_sent < 1 << 20


def test_a_clean_folder(hub: LoopbackHub) -> None:
    files = repository()
    commit = hub.push("o/r", files)
    found = inspect_target("hf://o/r", hash_files=True)
    assert found.target == f"hf://o/r@{commit}"
    assert [f for f in found.findings if f.severity != "info"] == []
    assert found.status == "pass", [s for s in found.surfaces if s.state != "examined"]
    # those that the hub lists, without a download
    assert "model.safetensors" in {file.path for file in found.files}


def test_what_attacks_is_found_without_a_download(hub: LoopbackHub) -> None:
    files = repository()
    hub.push("o/r", {**files, "pytorch_model.bin": PICKLE})
    found = inspect_target("hf://o/r")
    assert found.status == "fail"
    assert any(f.id == "pickle/unsafe-global" and "pytorch_model.bin" in f.location for f in found.findings)


def test_a_repository_as_the_reference(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.push("o/r", {"q.gguf": honest_gguf().build()})
    other = honest_gguf({"tokenizer.ggml.bos_token_id": None}).write(tmp_path / "mine.gguf")
    found = inspect_target(other, reference="hf://o/r/q.gguf")
    assert (found.reference or "").startswith("hf://o/r@")


@pytest.mark.parametrize(("down", "words"), [(True, "busy or down"), (False, "no such model")])
def test_the_command_says_in_one_line_what_a_hub_refuses(hub: LoopbackHub, down: bool, words: str) -> None:
    hub.down = down
    command = [
        sys.executable,
        "-c",
        "from qaudit.cli.main import main; main()",
        "inspect",
        "hf://o/none",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_offline_is_said(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    command = [sys.executable, "-c", "from qaudit.cli.main import main; main()", "inspect", "hf://o/r"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "HF_HUB_OFFLINE is set; unset it to ask" in done.stderr


def test_the_document_names_the_commit(hub: LoopbackHub) -> None:
    commit = hub.push("o/r", {"q.gguf": honest_gguf().build()})
    command = [
        sys.executable,
        "-c",
        "from qaudit.cli.main import main; main()",
        "inspect",
        "hf://o/r",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert commit in json.dumps(json.loads(done.stdout))
