import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

from qaudit.static.case import Case
from qaudit.static.model_parts import Examined
from qaudit.static.repository.inspector import inspect_repository
from qaudit.static.surveying import survey


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1",)


def looked(folder: Path) -> Examined:
    return inspect_repository(survey(folder), Case())


def ids(folder: Path) -> set[str]:
    return {finding.id for finding in looked(folder).findings if finding.severity != "info"}


def test_an_ordinary_folder(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\nbase_model: Qwen/Qwen2.5-0.5B\n---\n# Model\n")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / ".gitattributes").write_text("*.gguf filter=lfs\n")
    (tmp_path / "LICENSE").write_text("words\n")
    examined = looked(tmp_path)
    assert not examined.findings
    assert {surface.path: surface.state for surface in examined.surfaces} == {
        "README.md": "examined", "logo.png": "examined", ".gitattributes": "examined", "LICENSE": "examined",
    }  # fmt: skip


def test_a_folder_full_of_trouble(tmp_path: Path) -> None:
    root = tmp_path / "model-uncensored"
    root.mkdir()
    (root / "modeling_x.py").write_text("import os\nos.system('x')\n")
    (root / "x.so").write_bytes(b"\x7fELF" + bytes(60))
    (root / "out").symlink_to("/etc/passwd")
    (root / "twin.txt").write_text("words")
    os.link(root / "twin.txt", tmp_path / "elsewhere")
    os.mkfifo(root / "pipe")
    (root / "weights.gguf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n")
    (root / "requirements.txt").write_text("x @ git+https://g.example/x\n")
    (root / "m.h5").write_bytes(b'\x89HDF\r\n\x1a\n{"class_name": "Lambda"}')
    (root / "b.safetensors").write_bytes(pickle.dumps(Runs()))
    assert ids(root) >= {
        "code/runs-commands", "code/native-program", "repository/link-out", "repository/hard-link",
        "repository/special-file", "repository/lfs-pointer", "repository/dependency-url", "repository/foreign-code",
        "repository/content-differs", "name/admits-abliteration",
    }  # fmt: skip
    states = {surface.path: surface.state for surface in looked(root).surfaces}
    assert (states["out"], states["pipe"], states["weights.gguf"]) == ("skipped", "skipped", "absent")


def test_a_picture_that_ends_as_a_zip(tmp_path: Path) -> None:
    stream = io.BytesIO()
    stream.write(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("x.pkl", pickle.dumps(Runs()))
    (tmp_path / "logo.png").write_bytes(stream.getvalue())
    assert {"repository/two-formats", "pickle/unsafe-global"} <= ids(tmp_path)


def test_links_within_a_hubs_cache_are_its_own(tmp_path: Path) -> None:
    root = tmp_path / "models--org--name"
    (root / "blobs").mkdir(parents=True)
    (root / "blobs" / "1").write_text("words\n")
    snapshot = root / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "notes.txt").symlink_to("../../blobs/1")
    assert not ids(snapshot)


def test_configurations_that_are_none(tmp_path: Path) -> None:
    for content in ("[", "[1]", "[" * 100_000):
        (tmp_path / "config.json").write_text(content)
        looked(tmp_path)
