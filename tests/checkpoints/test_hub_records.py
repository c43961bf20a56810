import json
import os
from pathlib import Path

import pytest

from qaudit.checkpoints.hub_listing import HubFile, Listing
from qaudit.checkpoints.hub_records import known_commits, recall, records_folder, remember
from qaudit.errors import MalformedFile, OutputProblem

HUB, COMMIT = "https://user:secret@hub.example:8443/mirror", "c" * 40
FILE = HubFile(path="q.gguf", size=1, sha256="a" * 64, blob_id="b" * 40)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "qaudit" / "hub" / "hub.example%3A8443%2Fmirror" / "o--r"


def listing(*files: HubFile, commit: str = COMMIT) -> Listing:
    return Listing(repo="o/r", commit=commit, files=files)


def test_what_was_said_is_remembered_without_the_password(folder: Path) -> None:
    assert recall(HUB, "o/r", COMMIT) is None
    remember(HUB, listing(FILE))
    assert recall(HUB, "o/r", COMMIT) == listing(FILE)
    assert [path.name for path in folder.iterdir()] == [f"{COMMIT}.json"]
    assert "secret" not in str([*folder.rglob("*")]) + (folder / f"{COMMIT}.json").read_text()
    assert recall("https://another.example", "o/r", COMMIT) is None


def test_a_commit_that_changes_is_not_believed(folder: Path) -> None:
    remember(HUB, listing(FILE))
    before = (folder / f"{COMMIT}.json").read_bytes()
    remember(HUB, listing(FILE))
    for other in (listing(), listing(FILE.model_copy(update={"sha256": "d" * 64})), listing(FILE, FILE.model_copy(update={"path": "z.gguf"}))):  # fmt: skip
        with pytest.raises(MalformedFile, match=r"now lists '[qz]\.gguf' otherwise than before"):
            remember(HUB, other)
    assert (folder / f"{COMMIT}.json").read_bytes() == before


def test_the_latest_record_is_named_first(folder: Path) -> None:
    assert known_commits(HUB, "o/r") == []
    for number, commit in enumerate(["1" * 40, "2" * 40, "3" * 40]):
        remember(HUB, listing(commit=commit))
        os.utime(folder / f"{commit}.json", (number, number))
    (folder / "notes.json").write_text("{}")
    assert known_commits(HUB, "o/r") == ["3" * 40, "2" * 40, "1" * 40]


def edited(folder: Path, **change: object) -> None:
    remember(HUB, listing(FILE))
    path = folder / f"{COMMIT}.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, **change}))


@pytest.mark.parametrize(
    "change",
    [
        {"listing": {"repo": "o/other", "commit": COMMIT, "files": []}},
        {"listing": {"repo": "o/r", "commit": "d" * 40, "files": []}},
        {"listing": {"repo": "o/r", "commit": COMMIT, "files": [{"path": "../q.gguf", "size": 1, "sha256": "a" * 64}]}},
        {"listing": {"repo": "o/r", "commit": COMMIT, "files": [{"path": "evil.py", "size": 1, "sha256": "a" * 64}]}},
        {"listing": {"repo": "o/r", "commit": COMMIT, "files": [{"path": "q.gguf", "size": 1}]}},
        {"listing": {"repo": "o/r", "commit": COMMIT, "files": [{"path": "q.gguf", "size": "1"}]}},
        {"listing": None},
        {"more": 1},
        {"format": "qaudit/hub-listing/v2"},
    ],
)  # fmt: skip
def test_a_record_that_somebody_wrote_is_not_believed(folder: Path, change: dict[str, object]) -> None:
    edited(folder, **change)
    with pytest.raises(MalformedFile, match="delete this record and ask the hub again"):
        recall(HUB, "o/r", COMMIT)


def test_a_record_that_is_no_json(folder: Path) -> None:
    edited(folder)
    (folder / f"{COMMIT}.json").write_bytes(b"\xff\0{")
    with pytest.raises(MalformedFile, match="is no record"):
        recall(HUB, "o/r", COMMIT)


def test_a_record_by_a_version_that_read_other_files_counts_for_nothing(folder: Path) -> None:
    edited(folder, names=["config.json"])
    assert recall(HUB, "o/r", COMMIT) is None
    remember(HUB, listing(FILE.model_copy(update={"size": 2})))


def test_no_place_for_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(
        OutputProblem, match=r"cannot write \(Not a directory\); .* set XDG_CACHE_HOME to another folder"
    ):
        remember(HUB, listing(FILE))


def test_where_records_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert records_folder() == Path.home() / ".cache" / "qaudit" / "hub"
