import struct

import pytest
from attacks.gguf_builder import small_model
from loopback_hub import LoopbackHub

from qaudit.checkpoints.hub_spec import parse_hub_spec
from qaudit.errors import HubUnreachable, InputError
from qaudit.static import hub_surveying
from qaudit.static.case import opened
from qaudit.static.gguf.walking import walk_gguf
from qaudit.static.hub_surveying import HubDownload, survey_hub

HEADER = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)
FILES = {
    "config.json": b"{}",
    "evil.bin": b"\x80\x04K\x01.",
    "sub/w.gguf": HEADER + bytes(500_000),
    "m-00001-of-00002.gguf": HEADER,
    "m-00002-of-00002.gguf": HEADER,
}


def survey(text: str) -> HubDownload:
    return survey_hub(parse_hub_spec(text))


def test_a_repository_is_listed_at_its_commit_with_kinds_and_digests(hub: LoopbackHub) -> None:
    commit = hub.push("o/r", FILES)
    found = survey("hf://o/r")
    assert str(found.spec) == found.view.name == f"hf://o/r@{commit}"
    assert not found.view.single
    kinds = {entry.path: entry.kind for entry in found.view.entries}
    assert kinds == {
        "config.json": "config", "evil.bin": "pickle", "sub/w.gguf": "gguf",
        "m-00001-of-00002.gguf": "gguf", "m-00002-of-00002.gguf": "gguf",
    }  # fmt: skip
    assert found.view.by_path["sub/w.gguf"].sha256
    with opened(found.view.by_path["sub/w.gguf"]) as source:
        assert (source.size, source.local, source.name) == (500_024, False, "sub/w.gguf")
        assert source.read_at(0, 4) == b"GGUF"
        assert source.read_at(499_999, 100) == bytes(25)
        assert source.read_at(10, -5) == b""
    # of a large file only what was looked at
    assert found.ranges.fetched < 200_000


def test_a_file_comes_with_its_split_set_and_nothing_else(hub: LoopbackHub) -> None:
    hub.push("o/r", FILES)
    found = survey("hf://o/r/m-00002-of-00002.gguf")
    assert found.view.single
    assert [entry.path for entry in found.view.entries] == ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
    (alone,) = survey("hf://o/r/sub/w.gguf").view.entries
    assert alone.path == "w.gguf"
    assert not any("evil" in asked.path for asked in hub.asked)


def test_a_folder_of_a_repository(hub: LoopbackHub) -> None:
    hub.push("o/r", FILES)
    found = survey("hf://o/r/sub")
    assert [entry.path for entry in found.view.entries] == ["w.gguf"]
    assert not found.view.single
    with pytest.raises(InputError, match="holds no such file or folder"):
        survey("hf://o/r/none")


def test_offline_is_one_line(hub: LoopbackHub) -> None:
    hub.push("o/r", FILES)
    hub.down = True
    with pytest.raises(HubUnreachable, match="busy or down"):
        survey("hf://o/r")
    hub.down = False


def test_a_file_that_cannot_be_fetched_is_listed_and_not_opened(hub: LoopbackHub) -> None:
    hub.push("o/r", FILES)
    hub.tampered["config.json"] = b"[]"
    entry = survey("hf://o/r").view.by_path["config.json"]
    assert (entry.kind, entry.open) == ("other", None)


def test_more_files_than_anybody_looks_at(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_surveying, "MOST_FILES", 3)
    hub.push("o/r", FILES)
    found = survey("hf://o/r")
    assert len(found.view.entries) == 3
    (left,) = found.view.left_out
    assert left.state == "partial"
    assert "only 3 are looked at" in left.why


def test_a_real_header_is_read_by_ranges(hub: LoopbackHub) -> None:
    hub.push("o/r", {"real.gguf": small_model().build()})
    (entry,) = survey("hf://o/r/real.gguf").view.entries
    with opened(entry) as source:
        assert walk_gguf(source).complete
