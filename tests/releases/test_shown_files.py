import errno
import os
from pathlib import Path

import pytest

from qaudit.errors import InputError, OutputProblem
from qaudit.releases.shown_files import scratch_folder, show


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(b"bytes")
    return path


def test_a_folder_lasts_as_long_as_its_block(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as scratch:
        assert scratch.parent == tmp_path
        assert scratch.stat().st_mode & 0o077 == 0
        (scratch / "x").write_text("x")
    assert not scratch.exists()


def test_where_nobody_may_write_the_folder_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder(tmp_path / "none") as scratch:
        assert scratch.parent == tmp_path
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputProblem, match="set TMPDIR"), scratch_folder(tmp_path / "none"):
        pass


def test_a_blob_gets_one_more_name_and_no_copy(blob: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(blob)
    show(link, tmp_path / "s" / "a" / "name", tmp_path)
    shown = tmp_path / "s" / "a" / "name"
    assert not shown.is_symlink()
    assert shown.stat().st_ino == blob.stat().st_ino


def test_on_another_disk_it_is_copied(blob: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuses)
    show(blob, tmp_path / "name", tmp_path)
    assert (tmp_path / "name").read_bytes() == b"bytes"
    assert (tmp_path / "name").stat().st_ino != blob.stat().st_ino


def test_what_is_no_file_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "folder").mkdir()
    for name, says in (("circle", "cannot be read"), ("none", "cannot be read"), ("folder", "is no file")):
        with pytest.raises(InputError, match=f"{name}: {says}"):
            show(tmp_path / name, tmp_path / "shown", tmp_path)
