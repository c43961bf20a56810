"""Which files of a folder an audit is of."""

from pathlib import Path

import pytest

from qaudit.checkpoints import folder_files
from qaudit.checkpoints.folder_files import files_of
from qaudit.errors import LimitExceeded


def test_every_file_counts_but_for_bookkeeping_at_the_top(tmp_path: Path) -> None:
    kept = ["README.md", "config.json", "deep/.git/x", "deep/model.sig", "deep/er/a.py", ".hidden"]
    for name in (*kept, ".git/HEAD", ".qaudit/report.json", "model.sig", ".cache/huggingface/x"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert [f.relative_to(tmp_path).as_posix() for f in files_of(tmp_path)] == sorted(kept)


def test_linked_files_count_and_linked_folders_do_not(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "weights").touch()
    (inside / "linked").symlink_to(outside / "weights")
    (inside / "folder").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    (inside / "nowhere").symlink_to(tmp_path / "nothing")
    assert [f.name for f in files_of(inside)] == ["linked", "weights"]


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path.joinpath(*(["d"] * (folder_files.DEPTH_LIMIT + 1)))
    deep.mkdir(parents=True)
    with pytest.raises(LimitExceeded, match="folders deep"):
        files_of(tmp_path)
    monkeypatch.setattr(folder_files, "FILE_LIMIT", 2)
    many = tmp_path / "many"
    many.mkdir()
    for name in "abc":
        (many / name).touch()
    with pytest.raises(LimitExceeded, match="more than 2 files"):
        files_of(many)
