import os
import socket
from pathlib import Path

import pytest

from qaudit.errors import InputError
from qaudit.static import surveying
from qaudit.static.case import opened
from qaudit.static.folder_view import FolderView
from qaudit.static.surveying import survey

GGUF = b"GGUF\x03\x00\x00\x00" + bytes(16)


def write(folder: Path, **files: bytes) -> None:
    for name, data in files.items():
        path = folder / name.replace("__", "/").replace("_gguf", ".gguf").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def paths(view: FolderView) -> list[str]:
    return [entry.path for entry in view.entries]


def test_one_file_stands_for_itself(tmp_path: Path) -> None:
    write(tmp_path, a_gguf=GGUF, b_gguf=GGUF)
    view = survey(tmp_path / "a.gguf")
    (entry,) = view.entries
    assert (view.name, view.single) == ("a.gguf", True)
    assert (entry.path, entry.size, entry.kind) == ("a.gguf", len(GGUF), "gguf")
    with opened(entry) as source:
        assert (source.name, source.read_at(0, 4)) == ("a.gguf", b"GGUF")


def test_a_shard_stands_for_the_set_that_is_there(tmp_path: Path) -> None:
    for name in ("m-00001-of-00003", "m-00003-of-00003", "n-00002-of-00003", "m-00002-of-00004"):
        (tmp_path / f"{name}.gguf").write_bytes(GGUF)
    view = survey(tmp_path / "m-00003-of-00003.gguf")
    assert view.single
    assert paths(view) == ["m-00001-of-00003.gguf", "m-00003-of-00003.gguf"]


@pytest.mark.parametrize("name", ["m-00000-of-00003", "m-00004-of-00003", "m-00001-of-99999"])
def test_a_name_that_claims_an_impossible_set_is_one_file(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.gguf").write_bytes(GGUF)
    assert paths(survey(tmp_path / f"{name}.gguf")) == [f"{name}.gguf"]


def test_a_folder_is_listed_whole_and_in_order(tmp_path: Path) -> None:
    write(tmp_path, config_json=b"{}", sub__deep__w_gguf=GGUF, a_gguf=b"\x80\x04K\x01.", **{".hidden": b"x"})
    view = survey(tmp_path)
    assert not view.single
    assert paths(view) == [".hidden", "a.gguf", "config.json", "sub/deep/w.gguf"]
    kinds = {entry.path: entry.kind for entry in view.entries}
    # by what it is and not by what it is called
    assert kinds["a.gguf"] == "pickle"
    assert kinds["sub/deep/w.gguf"] == "gguf"


def test_bookkeeping_at_the_top_is_left_out_and_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{
            ".git__x": b"",
            ".cache__huggingface__y": b"",
            ".cache__z": b"",
            ".qaudit__q": b"",
            "s__.git__x": b"",
        },
    )
    view = survey(tmp_path)
    assert paths(view) == [".cache/z", "s/.git/x"]
    assert {s.path for s in view.left_out} == {".git", ".cache/huggingface", ".qaudit"}
    assert {s.kind for s in view.left_out} == {"bookkeeping"}


def test_links_are_told_and_never_followed_out(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    write(inside, a_gguf=GGUF)
    write(outside, secret_gguf=GGUF)
    (inside / "near").symlink_to("a.gguf")
    (inside / "far").symlink_to("../outside/secret.gguf")
    (inside / "folder").symlink_to("../outside")
    (inside / "etc").symlink_to("/etc/passwd")
    (inside / "none").symlink_to("nothing")
    (inside / "loop").symlink_to("loop")
    view = survey(inside)
    by_path = view.by_path
    assert paths(view) == ["a.gguf", "etc", "far", "folder", "loop", "near", "none"]
    assert {path: entry.link for path, entry in by_path.items()} == {
        "a.gguf": None, "etc": "/etc/passwd", "far": "../outside/secret.gguf", "folder": "../outside",
        "loop": "loop", "near": "a.gguf", "none": "nothing",
    }  # fmt: skip
    assert [path for path, entry in by_path.items() if entry.escapes] == ["etc", "far", "folder"]
    assert [path for path, entry in by_path.items() if entry.open] == ["a.gguf", "near"]
    with opened(by_path["near"]) as source:
        assert source.name == "near"


def test_a_snapshot_of_a_hubs_cache_is_no_folder_of_links(tmp_path: Path) -> None:
    repo = tmp_path / "models--org--name"
    snapshot = repo / "snapshots" / ("0" * 40)
    write(repo / "blobs", abc=GGUF)
    snapshot.joinpath("sub").mkdir(parents=True)
    (snapshot / "a.gguf").symlink_to("../../blobs/abc")
    (snapshot / "sub" / "b.gguf").symlink_to(os.path.relpath(repo / "blobs" / "abc", snapshot / "sub"))
    (snapshot / "bad").symlink_to("../../refs/main")
    by_path = survey(snapshot).by_path
    for name in ("a.gguf", "sub/b.gguf"):
        assert by_path[name].kind == "gguf"
        assert by_path[name].link is None
        assert not by_path[name].escapes
    assert by_path["bad"].escapes
    # a file of it that is named
    assert survey(snapshot / "a.gguf").entries[0].path == "a.gguf"


def test_pipes_sockets_and_unreadable_files_are_listed_but_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(tmp_path)  # a socket's path must be short
        server.bind("socket")
        os.chdir(before)
    view = survey(tmp_path)
    assert {entry.path: entry.open for entry in view.entries} == {"pipe": None, "socket": None}


def test_a_file_that_is_replaced_between_listing_and_opening_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a_gguf=GGUF, b=b"other")
    entry = survey(tmp_path).by_path["a.gguf"]
    os.replace(tmp_path / "b", tmp_path / "a.gguf")
    with pytest.raises(InputError, match="changed since it was listed"), opened(entry):
        pass


def test_a_listing_ends_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, **{f"f{number}": b"" for number in range(6)})
    deep = tmp_path / "/".join("d" * 5)
    deep.mkdir(parents=True)
    (deep / "x").write_bytes(b"")
    monkeypatch.setattr(surveying, "DEPTH_LIMIT", 3)
    view = survey(tmp_path)
    assert "d/d/d/d/d/x" not in view.by_path
    assert [(s.path, s.state) for s in view.left_out] == [("d/d/d/d", "skipped")]
    monkeypatch.setattr(surveying, "FILE_LIMIT", 4)
    view = survey(tmp_path)
    assert len(view.entries) == 4
    assert "more than 4 files" in " ".join(s.why for s in view.left_out)


def test_names_that_are_no_text_are_listed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.gguf")).write_bytes(GGUF)
    assert [entry.kind for entry in survey(tmp_path).entries] == ["gguf"]


@pytest.mark.parametrize("name", ["missing", "a\0b", "pipe"])
def test_what_is_no_file_or_folder_is_one_line(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError):
        survey(tmp_path / name)
