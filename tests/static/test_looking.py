from pathlib import Path

import pytest
from attacks.honest_models import chatting, chatting_folder

from qaudit.static import by_kind
from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.looking import look_at
from qaudit.static.model_parts import Examined
from qaudit.static.surveying import survey
from qaudit.values import Surface


def write_honest(folder: Path) -> Path:
    for name, content in chatting_folder().items():
        data = content() if callable(content) else content
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def test_an_inspector_that_breaks_on_one_file_still_sees_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QAUDIT_DEBUG")
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(chatting().build())
    real = by_kind.OF_FILE["gguf"]

    def breaks(source: ByteSource, case: Case) -> Examined:
        if source.name == "a.gguf":
            raise IndexError("ours")
        return real(source, case)

    monkeypatch.setitem(by_kind.OF_FILE, "gguf", breaks)  # type: ignore[arg-type]
    looked = look_at(survey(tmp_path))
    assert [finding.location for finding in looked.findings if finding.id == "inspect/crashed"] == ["a.gguf"]
    assert [model.location for model in looked.models] == ["b.gguf"]


def test_every_entry_has_a_surface_even_if_nobody_reads_it(tmp_path: Path) -> None:
    write_honest(tmp_path)
    (tmp_path / "out").symlink_to("/etc/passwd")
    (tmp_path / "odd.xyz").write_bytes(b"\x00\x01\x02")
    view = survey(tmp_path)
    looked = look_at(view)
    assert {entry.path for entry in view.entries} <= {surface.path for surface in looked.surfaces}


def test_an_honest_folder_is_one_model_with_all_its_parts(tmp_path: Path) -> None:
    (model,) = look_at(survey(write_honest(tmp_path))).models
    assert model.format == "safetensors"
    assert model.tensors
    assert model.templates
    assert model.vocabulary is not None
    assert model.settings


def test_of_a_reference_only_parts_are_taken(tmp_path: Path) -> None:
    write_honest(tmp_path)
    (tmp_path / "evil.py").write_text("import os\nos.system('x')\n")
    looked = look_at(survey(tmp_path), parts_only=True)
    assert not any(finding.location.startswith("evil.py") for finding in looked.findings)
    (model,) = looked.models
    assert model.tensors
    assert model.templates
    assert model.vocabulary is not None


def test_progress_names_each_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.txt").write_text("x")
    told: list[tuple[str, int, int]] = []
    look_at(survey(tmp_path), progress=lambda *step: told.append(step))
    assert told == [("a.txt", 0, 2), ("b.txt", 1, 2)]


def test_what_survey_left_out_is_told() -> None:
    left = Surface(".git", "bookkeeping", "skipped", "version control")
    assert left in look_at(FolderView("v", (), left_out=(left,))).surfaces


def test_a_link_that_leads_out_is_never_opened() -> None:
    view = FolderView("v", (Entry("x.gguf", 0, "gguf", None, link="/etc/passwd", escapes=True),))
    assert look_at(view).models == ()
