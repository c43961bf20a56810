import hashlib
import os
import socket
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_kit import make_folder_checkpoint, sha256

from qaudit.attest import manifest
from qaudit.attest.manifest import (
    Entry,
    UnsignableTree,
    differences,
    hash_files,
    list_files,
    manifest_digest,
    split_anchor,
)
from qaudit.errors import InputError
from qaudit.values import FileDigest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder_checkpoint(tmp_path)


def names(path: Path, *ignored: str) -> list[str]:
    return [entry.name for entry in list_files(path, [PurePosixPath(name) for name in ignored])]


def test_lists_every_file_sorted_hidden_and_git_files_too(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("[core]")
    (folder / ".gitattributes").write_text("*")
    (folder / "empty").write_bytes(b"")
    assert names(folder) == [
        ".git/config",
        ".gitattributes",
        "config.json",
        "empty",
        "tokenizer/vocab.txt",
        "weights.gguf",
    ]


def test_leaves_out_the_root_sidecar_and_oms_signature_only(folder: Path) -> None:
    before = names(folder)
    (folder / ".qaudit").mkdir()
    (folder / ".qaudit" / "report.json").write_text("{}")
    (folder / "model.sig").write_text("{}")
    assert names(folder) == before
    (folder / "tokenizer" / "model.sig").write_text("{}")
    (folder / "tokenizer" / ".qaudit").mkdir()
    (folder / "tokenizer" / ".qaudit" / "report.json").write_text("{}")
    assert set(names(folder)) - set(before) == {"tokenizer/model.sig", "tokenizer/.qaudit/report.json"}


def test_what_only_looks_like_an_exclusion_is_listed(folder: Path) -> None:
    (folder / "model.sig").mkdir()
    (folder / "model.sig" / "evil.py").write_text("x")
    (folder / ".qaudit").write_text("a file")
    assert {"model.sig/evil.py", ".qaudit"} <= set(names(folder))


def test_ignored_paths_are_left_out_with_all_below(folder: Path) -> None:
    (folder / "tokenizer" / "link").symlink_to("vocab.txt")
    assert names(folder, "tokenizer") == ["config.json", "weights.gguf"]
    assert "tokenizer/vocab.txt" in names(folder, "tokenizer/link")


def refuse(path: Path, says: str) -> None:
    with pytest.raises(UnsignableTree, match=says) as caught:
        list_files(path)
    assert str(caught.value).isprintable()


def test_refuses_links(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer" / "link").symlink_to("vocab.txt")
    refuse(folder, "link: a symbolic link")
    refuse_target = tmp_path / "alias"
    refuse_target.symlink_to(folder)
    refuse(refuse_target, "alias: a symbolic link")


def test_refuses_a_linked_folder_and_a_linked_sidecar(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "report.json").write_text("{}")
    (folder / ".qaudit").symlink_to(outside)
    refuse(folder, r"\.qaudit: a symbolic link")


def test_refuses_a_link_as_oms_signature(folder: Path) -> None:
    (folder / "model.sig").symlink_to("config.json")
    refuse(folder, "model.sig: a symbolic link")


def test_refuses_special_files(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    refuse(folder, "pipe: not a regular file")
    (folder / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        cwd = Path.cwd()
        os.chdir(folder)  # socket paths are short
        try:
            server.bind("plug")
        finally:
            os.chdir(cwd)
    refuse(folder, "plug: not a regular file")


def test_refuses_empty_folders(folder: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    refuse(folder, "b: an empty folder")


def test_refuses_a_checkpoint_without_files(tmp_path: Path) -> None:
    refuse(tmp_path, "holds no files")
    (tmp_path / ".qaudit").mkdir()
    refuse(tmp_path, "holds no files")


def test_refuses_strangers_in_the_sidecar(folder: Path) -> None:
    (folder / ".qaudit").mkdir()
    (folder / ".qaudit" / "plugin.py").write_text("x")
    refuse(folder, "plugin.py: not a file that .qaudit may hold")
    (folder / ".qaudit" / "plugin.py").unlink()
    (folder / ".qaudit" / "report.json").mkdir()
    refuse(folder, "report.json: not a regular file")


@pytest.mark.parametrize(
    "name",
    [b"caf\xe9", b"new\nline", b"esc\x1b[31m", "bidi\u202egnp".encode(), b"back\\slash", "\x85".encode()],
)
def test_refuses_names_that_deceive(folder: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("x")
    refuse(folder, "the name is not UTF-8 or holds control characters")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Config.json", "config.json"),
        ("caf\u00e9", "cafe\u0301"),
        ("TOKENIZER/x", "tokenizer/y"),
        (".QAUDIT/report.json", "weights.gguf"),
        ("Model.sig", "weights.gguf"),
        ("stra\u00dfe", "strasse"),
    ],
)
def test_refuses_names_that_collide_on_some_disks(folder: Path, one: str, other: str) -> None:
    for name in (one, other):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    refuse(folder, "collides with")


def test_refuses_long_names_and_deep_trees(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = folder / "/".join("d" * 200 for _ in range(6))
    deep.mkdir(parents=True)
    (deep / "f").write_text("x")
    refuse(folder, "longer than 1024 bytes")
    monkeypatch.setattr(manifest, "DEPTH_LIMIT", 3)
    refuse(folder, "more than 3 folders deep")


def test_refuses_too_many_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "FILE_LIMIT", 2)
    refuse(folder, "more than 2 files")


def test_missing_and_unreadable_paths(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        list_files(tmp_path / "nothing")
    with pytest.raises(InputError, match="No such file"):
        hash_files([Entry("gone", tmp_path / "gone")])
    with pytest.raises(InputError, match="not a usable path"):
        list_files(Path("nul\0byte"))


def test_all_parts_of_a_split_file_belong_together(tmp_path: Path) -> None:
    for part in (1, 2, 3):
        (tmp_path / f"m-0000{part}-of-00003.gguf").write_text(str(part))
    (tmp_path / "m-00001-of-00002.gguf").write_text("of another")
    expected = [f"m-0000{part}-of-00003.gguf" for part in (1, 2, 3)]
    assert names(tmp_path / expected[1]) == expected
    assert split_anchor(tmp_path / expected[2]) == tmp_path / expected[0]
    assert split_anchor(tmp_path / "m.gguf") == tmp_path / "m.gguf"
    (tmp_path / expected[2]).unlink()
    with pytest.raises(InputError, match=r"m-00003-of-00003\.gguf"):
        list_files(tmp_path / expected[0])
    (tmp_path / "x-00009-of-00003.gguf").write_text("x")
    with pytest.raises(UnsignableTree, match="out of range"):
        list_files(tmp_path / "x-00009-of-00003.gguf")


def test_tells_while_a_file_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "TOLD_BYTES", 1 << 20)
    (tmp_path / "large").write_bytes(bytes((5 << 20) + 3))
    (tmp_path / "empty").write_bytes(b"")
    told: list[int] = []
    digests = hash_files(list_files(tmp_path), on_read=told.append)
    assert told == [1 << 20] * 5 + [3]
    assert digests == hash_files(list_files(tmp_path))


def test_hashes_match_and_progress_is_told(folder: Path) -> None:
    told: list[str] = []
    digests = hash_files(list_files(folder), lambda digest: told.append(digest.path))
    assert {d.path: d.sha256 for d in digests} == {
        name: sha256((folder / name).read_bytes()) for name in names(folder)
    }
    assert told == names(folder)
    assert [d.size for d in digests] == [(folder / name).stat().st_size for name in names(folder)]


def test_the_largest_begin_first_and_the_order_given_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (10, 5000, 3000, 7000):
        (folder / f"shard{size}").write_bytes(bytes(size))
    begun: list[int] = []
    digest = hashlib.file_digest

    def noted(stream: BinaryIO, name: str) -> object:
        begun.append(os.fstat(stream.fileno()).st_size)
        return digest(stream, name)  # type: ignore[arg-type]

    monkeypatch.setattr(manifest, "THREADS", 1)
    monkeypatch.setattr(hashlib, "file_digest", noted)
    digests = hash_files(list_files(folder))
    assert begun == sorted(begun, reverse=True)
    assert [d.path for d in digests] == names(folder)


def test_a_file_swapped_for_a_link_or_pipe_is_not_read(folder: Path) -> None:
    entries = list_files(folder)
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        hash_files(entries)
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(UnsignableTree, match="not a regular file"):
        hash_files(entries)


@pytest.mark.parametrize("change", ["grow", "touch"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    entries = [entry for entry in list_files(folder) if entry.name == "config.json"]
    digest = hashlib.file_digest

    def interfere(stream: BinaryIO, name: str) -> object:
        result = digest(stream, name)  # type: ignore[arg-type]
        if change == "grow":
            (folder / "config.json").write_text("longer than it was before")
        else:
            os.utime(folder / "config.json", ns=(1, 1))
        return result

    monkeypatch.setattr(hashlib, "file_digest", interfere)
    with pytest.raises(UnsignableTree, match="changed while it was being read"):
        hash_files(entries)


FILES = st.dictionaries(
    st.text("abc/", min_size=1), st.tuples(st.integers(0, 2**60), st.text("0f")), min_size=1
)


@given(FILES, st.data())
def test_manifest_digest_binds_names_sizes_and_digests(
    rows: dict[str, tuple[int, str]], data: st.DataObject
) -> None:
    files = [FileDigest(name, size, digest) for name, (size, digest) in rows.items()]
    digest = manifest_digest(files)
    assert manifest_digest(data.draw(st.permutations(files))) == digest
    first, *rest = files
    for other in (
        FileDigest(first.path + "x", first.size, first.sha256),
        FileDigest(first.path, first.size + 1, first.sha256),
        FileDigest(first.path, first.size, first.sha256 + "0"),
    ):
        assert manifest_digest([other, *rest]) != digest


def test_manifest_digest_is_that_of_rfc8785_bytes() -> None:
    files = [FileDigest("b", 2**60, "22"), FileDigest("a", 1, "11")]
    text = '[{"name":"a","sha256":"11","size":"1"},{"name":"b","sha256":"22","size":"1152921504606846976"}]'
    assert manifest_digest(files) == sha256(text.encode())


DIGESTS = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("123"))


@given(DIGESTS, DIGESTS)
def test_differences_are_empty_only_for_equal_sets(signed: dict[str, str], found: dict[str, str]) -> None:
    problems = differences(signed, found)
    assert (problems == ()) == (signed == found)
    touched = {n for n in signed.keys() | found.keys() if signed.get(n) != found.get(n)}
    said = " ".join(problems)
    assert all(f"{name}: " in said or f"to {name}" in said for name in touched)


def test_differences_name_every_file() -> None:
    signed = {"same": "0", "changed": "1", "gone": "2", "old": "3"}
    found = {"same": "0", "changed": "9", "new": "3", "added": "4"}
    assert differences(signed, found) == (
        "changed: changed",
        "old: renamed to new",
        "gone: missing",
        "added: extra",
    )
