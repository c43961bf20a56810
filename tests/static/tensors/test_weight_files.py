from pathlib import Path

import pytest
from tensor_folders import file_of, written

from qaudit.static import byte_source
from qaudit.static.byte_source import LocalBytes
from qaudit.static.case import Case, opened
from qaudit.static.tensors import weight_files
from qaudit.static.tensors.weight_files import base_name, folder_of, walked, weight_folders

TENSORS = file_of({"a": ("F32", (1,), None)})


def test_folders_and_tensors(tmp_path: Path) -> None:
    view = written(tmp_path, {"model.safetensors": TENSORS, "sub/x.safetensors": TENSORS, "config.json": {}})
    top, sub = weight_folders(view)
    assert (top.path, sub.path) == ("", "sub/")
    assert [held.place for held in sub.tensors()] == ["sub/x.safetensors:a"]
    assert top.complete
    assert not top.bloated


def test_each_header_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = written(tmp_path, {"model.safetensors": TENSORS})
    with opened(view.entries[0]) as source:
        first = walked(source, Case(folder=view))
    monkeypatch.setattr(byte_source.LocalBytes, "read_at", None)
    assert weight_folders(view)[0].walks[0][1] is first


def test_another_look_reads_again(tmp_path: Path) -> None:
    first = weight_folders(written(tmp_path, {"model.safetensors": TENSORS}))
    other = weight_folders(written(tmp_path, {"model.safetensors": file_of({"b": ("F32", (1,), None)})}))
    assert [held.name for held in first[0].tensors()] == ["a"]
    assert [held.name for held in other[0].tensors()] == ["b"]


def test_a_file_without_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(TENSORS)
    with LocalBytes(path) as source:
        assert walked(source, Case()).tensors[0].name == "a"


def test_what_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = written(tmp_path, {"model.safetensors": TENSORS, "other.safetensors": TENSORS})
    (tmp_path / "other.safetensors").unlink()
    (home,) = weight_folders(view)
    assert [path for path, _ in home.unread] == ["other.safetensors"]
    assert not home.complete
    monkeypatch.setattr(weight_files, "MAX_FILES", 1)
    assert weight_folders(written(tmp_path, {"other.safetensors": TENSORS}))[0].unread


def test_names() -> None:
    assert (folder_of("a/b/c"), folder_of("c")) == ("a/b/", "")
    assert (base_name("a/b/c"), base_name("c")) == ("c", "c")
