from pathlib import Path

import pytest
import qaudit
from qaudit.errors import InputError, MalformedFile


def test_the_public_door(f16: Path) -> None:
    checkpoint = qaudit.open_checkpoint(f16)
    assert checkpoint.format == "gguf"
    assert checkpoint.rows("blk.0.attn_q").shape == (256, 256)


def test_what_is_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        qaudit.open_checkpoint(tmp_path / "none.gguf")
    with pytest.raises(InputError, match="is a folder; name the GGUF file in it"):
        qaudit.open_checkpoint(tmp_path)
    (tmp_path / "a.gguf").write_bytes(b"hello")
    with pytest.raises(InputError, match="such as .*a.gguf"):
        qaudit.open_checkpoint(tmp_path)
    with pytest.raises(MalformedFile, match="not a GGUF file"):
        qaudit.open_checkpoint(tmp_path / "a.gguf")
