from typing import get_args

from qaudit.static.folder_view import Entry, FileKind, FolderView


def entry(path: str, kind: FileKind) -> Entry:
    return Entry(path, 1, kind, None)


def test_entries_are_found_by_path_and_by_kind_in_order() -> None:
    config, weights, more = entry("config.json", "config"), entry("a.gguf", "gguf"), entry("b.gguf", "gguf")
    view = FolderView("model", (weights, more, config))
    assert view.by_path["config.json"] is config
    assert "nothing" not in view.by_path
    assert list(view.of_kind("gguf")) == [weights, more]
    assert list(view.of_kind("config", "gguf")) == [weights, more, config]
    assert list(view.of_kind("pickle")) == []


def test_a_view_is_a_value() -> None:
    made = [FolderView("model", (entry("a", "other"),)) for _ in range(2)]
    assert made[0] == made[1]
    assert hash(made[0]) == hash(made[1])
    assert not made[0].single
    assert made[0].left_out == ()


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len(set(get_args(FileKind))) == len(get_args(FileKind))
