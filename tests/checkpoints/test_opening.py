import os
from pathlib import Path

import pytest
from attacks.gguf_builder import small_model

import qaudit
from qaudit.errors import InputError, MalformedFile


def test_the_public_door(f16: Path) -> None:
    checkpoint = qaudit.open_checkpoint(f16)
    assert checkpoint.format == "gguf"
    assert checkpoint.rows("blk.0.attn_q").shape == (256, 256)


def test_a_path_as_text_and_a_link(tmp_path: Path) -> None:
    path = small_model().write(tmp_path / "x.gguf")
    assert qaudit.open_checkpoint(str(path)).path == path
    (tmp_path / "link.gguf").symlink_to(path)
    assert qaudit.open_checkpoint(tmp_path / "link.gguf").info.files[0].path == "link.gguf"


def test_what_is_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder; name the GGUF file in it \(it holds none\)"):
        qaudit.open_checkpoint(tmp_path)
    (tmp_path / "a.gguf").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"such as .*a\.gguf"):
        qaudit.open_checkpoint(tmp_path)
    with pytest.raises(MalformedFile, match="not a GGUF file"):
        qaudit.open_checkpoint(tmp_path / "a.gguf")


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
