from pathlib import Path
from typing import get_args

from attacks.honest_models import chatting

from qaudit.static.by_kind import OF_FILE, OF_FOLDER, of_folder
from qaudit.static.case import Case
from qaudit.static.folder_view import Entry, FileKind, FolderView
from qaudit.static.model_parts import Examined
from qaudit.static.surveying import survey


def names(*kinds: FileKind, parts: bool = False) -> list[str]:
    view = FolderView("v", tuple(Entry(f"f{n}", 0, kind, None) for n, kind in enumerate(kinds)))
    return [inspector.__name__.strip("_") for inspector in of_folder(view, gives_parts=parts)]


def test_every_kind_that_is_named_exists() -> None:
    kinds = set(get_args(FileKind))
    assert set(OF_FILE) <= kinds
    assert all(needed <= kinds for needed, _, _ in OF_FOLDER)


def test_what_can_run_code_has_an_inspector_of_its_own() -> None:
    assert {"gguf", "ggml", "safetensors", "pickle", "zip", "archive", "modelfile"} == set(OF_FILE)


def test_a_folder_is_looked_at_as_a_whole_by_what_is_in_it() -> None:
    assert names("readme") == ["repository"]
    assert names("gguf") == ["repository", "split_sets"]
    assert names("tokenizer") == ["repository"]
    assert set(names("config", "safetensors")) == {"repository", "generation_config", "index", "layouts"}


def test_what_gives_parts_of_a_model_is_asked_apart() -> None:
    assert names("config", "gguf", "python", parts=True) == ["ollama_layers", "tokenizer_files", "configs"]
    assert names("tokenizer", parts=True) == ["tokenizer_files", "configs"]
    assert names("gguf", parts=True) == []
    # tokenizer_config.json names code by auto_map too


def test_every_inspector_loads_and_takes_an_empty_folder_or_file(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    view = survey(tmp_path)
    for _, _, of_whole in OF_FOLDER:
        assert isinstance(of_whole(view, Case(folder=view)), Examined)
    (entry,) = view.entries
    assert entry.open is not None
    for of_file in OF_FILE.values():
        source = entry.open()
        assert isinstance(of_file(source, Case()), Examined)
        source.close()  # type: ignore[attr-defined]


def test_a_gguf_is_looked_at_by_its_inspector(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(chatting().build())
    (entry,) = survey(tmp_path / "m.gguf").entries
    assert entry.open is not None
    source = entry.open()
    examined = OF_FILE["gguf"](source, Case())
    source.close()  # type: ignore[attr-defined]
    assert examined.parts is not None
    assert examined.parts.format == "gguf"
