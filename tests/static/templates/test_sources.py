import json
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.byte_source import LocalBytes
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.kinds import HEAD_BYTES, kind_of
from qaudit.static.templates.sources import MOST_TEMPLATE_BYTES, folder_templates


def view(folder: Path, files: Mapping[str, bytes | str]) -> FolderView:
    entries = []
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        opener = lambda path=path, name=name: LocalBytes(path, name)  # noqa: E731
        entries.append(Entry(name, len(data), kind_of(name, data[:HEAD_BYTES]), opener))
    return FolderView("m", tuple(entries))


def test_every_place_is_looked_at(tmp_path: Path) -> None:
    files = {
        "tokenizer_config.json": json.dumps(
            {"chat_template": [{"name": "default", "template": "A"}, {"name": "rag", "template": "B"}]}
        ),
        "chat_template.jinja": "C",
        "additional_chat_templates/tool_use.jinja": "D",
        "chat_template.json": json.dumps({"chat_template": "E"}),
        "processor_config.json": json.dumps({"chat_template": {"x": "F"}}),
        "preprocessor_config.json": json.dumps({"chat_template": "G"}),
        "text/tokenizer_config.json": json.dumps({"chat_template": "H"}),
        "README.md": "{{ no }}",
    }
    found = {(t.location, t.name, t.text) for t in folder_templates(view(tmp_path, files))}
    assert found == {
        ("chat_template.jinja", "default", "C"),
        ("additional_chat_templates/tool_use.jinja", "tool_use", "D"),
        ("tokenizer_config.json:chat_template[default]", "default", "A"),
        ("tokenizer_config.json:chat_template[rag]", "rag", "B"),
        ("chat_template.json:chat_template", "default", "E"),
        ("processor_config.json:chat_template.x", "x", "F"),
        ("preprocessor_config.json:chat_template", "default", "G"),
        ("text/tokenizer_config.json:chat_template", "default", "H"),
    }


def test_the_file_of_its_own_comes_first(tmp_path: Path) -> None:
    files = {"tokenizer_config.json": '{"chat_template": "A"}', "chat_template.jinja": "B"}
    assert [t.text for t in folder_templates(view(tmp_path, files))] == ["B", "A"]


def test_broken_and_huge_files_do_no_harm(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "tokenizer_config.json": "{",
        "chat_template.jinja": b"\xff\xfe" + b"x" * (2 << 20),
        "processor_config.json": "[" * 100_000,
    }
    (only,) = folder_templates(view(tmp_path, files))
    assert len(only.text) <= MOST_TEMPLATE_BYTES


def test_entries_that_cannot_be_opened_are_left(tmp_path: Path) -> None:
    folder = FolderView(
        "m", (Entry("chat_template.jinja", 0, "template", None, link="/etc/passwd", escapes=True),)
    )
    assert folder_templates(folder) == []


@given(st.binary(max_size=200))
def test_any_json_is_read(raw: bytes) -> None:
    class Bytes:
        name, size, local = "tokenizer_config.json", len(raw), True

        def read_at(self, offset: int, length: int) -> bytes:
            return raw[offset : offset + length]

    folder_templates(FolderView("m", (Entry("tokenizer_config.json", len(raw), "tokenizer", Bytes),)))
