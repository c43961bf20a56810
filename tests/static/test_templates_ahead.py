from pathlib import Path

import pytest
from attacks.honest_models import chatting, honest_gguf

from qaudit.static.byte_source import ByteSource
from qaudit.static.folder_view import Entry, FileKind, FolderView
from qaudit.static.surveying import survey
from qaudit.static.templates import analyst
from qaudit.static.templates_ahead import FIRST_BYTES, KEY, STEP, analyst_ahead


class Filled:
    """Nothing but the key, at one place; on a hub no byte may be read ahead."""

    name, size = "m.gguf", FIRST_BYTES + STEP

    def __init__(self, at: int, *, local: bool = True) -> None:
        self.at, self.local = at, local

    def read_at(self, offset: int, length: int) -> bytes:
        assert self.local
        found = bytearray(max(0, min(length, self.size - offset)))
        for number, byte in enumerate(KEY):
            if 0 <= self.at + number - offset < len(found):
                found[self.at + number - offset] = byte
        return bytes(found)


def started(entries: list[Entry]) -> bool:
    with analyst_ahead(FolderView("v", tuple(entries))) as process:
        return process is not None


def filled(at: int, *, local: bool = True) -> list[Entry]:
    source: ByteSource = Filled(at, local=local)
    return [Entry("m.gguf", source.size, "gguf", lambda: source)]


@pytest.mark.parametrize("kind", ["template", "tokenizer"])
def test_of_a_folder_the_names_tell(kind: FileKind) -> None:
    assert started([Entry("a", 1, kind, None)])
    assert not started([Entry("a", 1, "config", None), Entry("b", 1, "safetensors", None)])


def test_of_a_gguf_its_key_tells(tmp_path: Path) -> None:
    (tmp_path / "chat.gguf").write_bytes(chatting().build())
    (tmp_path / "base.gguf").write_bytes(honest_gguf().build())
    assert started(list(survey(tmp_path / "chat.gguf").entries))
    assert not started(list(survey(tmp_path / "base.gguf").entries))


@pytest.mark.parametrize("at", [0, STEP - len(KEY), STEP - len(KEY) + 1, STEP - 1, STEP, 3 * STEP - 40])
def test_the_key_is_found_wherever_it_lies(at: int) -> None:
    assert started(filled(at))


def test_no_more_than_the_first_bytes_are_read() -> None:
    assert not started(filled(FIRST_BYTES + 100))


def test_on_a_hub_nothing_is_read_for_it() -> None:
    assert started(filled(0, local=False))


def test_what_cannot_be_opened_or_started_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not started([Entry("m.gguf", 9, "gguf", None)])
    monkeypatch.setattr(analyst.sys, "executable", "/nowhere/python")
    assert not started([Entry("a", 1, "template", None)])
