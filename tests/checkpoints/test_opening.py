import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from attacks.gguf_builder import small_model
from checkpoints.by_hand import stored, write_folder

import qaudit
from qaudit.errors import InputError, MalformedFile

SMALL = {"model.proj.weight": stored(np.eye(3, 4, dtype=np.float32))}


def test_the_public_door(f16: Path) -> None:
    checkpoint = qaudit.open_checkpoint(f16)
    assert checkpoint.format == "gguf"
    assert checkpoint.rows("blk.0.attn_q").shape == (256, 256)


def test_a_path_as_text_and_a_link(tmp_path: Path) -> None:
    path = small_model().write(tmp_path / "x.gguf")
    assert qaudit.open_checkpoint(str(path)).path == path
    (tmp_path / "link.gguf").symlink_to(path)
    assert qaudit.open_checkpoint(tmp_path / "link.gguf").info.files[0].path == "link.gguf"


def test_a_folder_of_hugging_face(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", SMALL)
    for path in (folder, str(folder)):
        checkpoint = qaudit.open_checkpoint(path)
        assert (checkpoint.format, checkpoint.path) == ("safetensors", folder)
        assert checkpoint.rows("model.proj").tolist() == np.eye(3, 4).tolist()
    (tmp_path / "link").symlink_to(folder)
    assert qaudit.open_checkpoint(tmp_path / "link").info.sha256 == qaudit.open_checkpoint(folder).info.sha256


def test_a_folder_with_both_is_the_one_with_a_configuration(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", SMALL)
    gguf = small_model().write(folder / "model-Q4.gguf")
    assert qaudit.open_checkpoint(folder).format == "safetensors"
    assert qaudit.open_checkpoint(gguf).format == "gguf"


def test_what_is_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder without config\.json; what should be read\?"):
        qaudit.open_checkpoint(tmp_path)
    (tmp_path / "a.gguf").write_bytes(b"hello")
    with pytest.raises(
        InputError, match=r"without config\.json; name the GGUF file in it, such as .*a\.gguf"
    ):
        qaudit.open_checkpoint(tmp_path)
    with pytest.raises(MalformedFile, match="not a GGUF file"):
        qaudit.open_checkpoint(tmp_path / "a.gguf")


def test_a_local_folder_that_looks_like_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hf:" / "o").mkdir(parents=True)
    folder = write_folder(Path("hf:/o/r"), SMALL)
    assert qaudit.open_checkpoint(folder).info.path == "hf:/o/r"
    assert qaudit.open_checkpoint("hf:/o/r").info.path == "hf:/o/r"
    with pytest.raises(InputError, match="is no name on a hub"):
        qaudit.open_checkpoint(Path("hf://-o/r"))


def test_a_safetensors_file_is_no_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", SMALL)
    with pytest.raises(MalformedFile, match="not a GGUF file"):
        qaudit.open_checkpoint(folder / "model.safetensors")


def test_a_configuration_that_is_unknown(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", SMALL, {"quantization_config": {"quant_method": "aqlm"}})
    with pytest.raises(InputError, match="quantization method 'aqlm' is not read here; known: awq, "):
        qaudit.open_checkpoint(folder)


def test_a_folder_is_opened_without_torch(tmp_path: Path) -> None:
    config = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    folder = write_folder(tmp_path / "model", SMALL, config)
    program = (
        "import sys, qaudit; qaudit.open_checkpoint(sys.argv[1]).rows('model.proj');"
        "print([m for m in ('torch', 'transformers', 'compressed_tensors', 'safetensors') if m in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(folder)], check=True, capture_output=True, text=True, timeout=600
    )
    assert told.stdout == "[]\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_may_not_be_entered(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", SMALL)
    folder.chmod(0)
    try:
        with pytest.raises(InputError, match=r"cannot be read|permission"):
            qaudit.open_checkpoint(folder)
    finally:
        folder.chmod(0o755)


def test_code_in_a_folder_is_never_run(tmp_path: Path) -> None:
    config = {"model_type": "x", "auto_map": {"AutoConfig": "evil.Config"}}
    folder = write_folder(tmp_path / "model", SMALL, config)
    (folder / "evil.py").write_text(f"open({json.dumps(str(tmp_path / 'ran'))}, 'w')")
    qaudit.open_checkpoint(folder).rows("model.proj")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none.gguf", "no such file; check the path"),
        ("file/below", "no such file"),
        ("dangling", "no such file"),
        ("loop", "no such file|symbolic link"),
        ("pipe", "is not a regular file"),
        ("a\0b", "no such file|null"),
        ("n" * 300, "File name too long"),
        ("/dev/zero", "is not a regular file"),
        ("two\nlines", "no such file"),
    ],
)
def test_paths_that_lead_nowhere_end_in_one_line(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=why) as caught:
        qaudit.open_checkpoint(tmp_path / name)
    assert str(caught.value).isprintable()
