import hashlib
import os
from pathlib import Path

import pytest
from loopback_hub import git_id

from qaudit.checkpoints.hub_cache import RepoCache
from qaudit.checkpoints.hub_listing import HubFile, Listing
from qaudit.errors import InputError, MalformedFile, OutputProblem

COMMIT, DATA = "c" * 40, b"weights" * 1000


def lfs(data: bytes = DATA, path: str = "sub/q.gguf") -> HubFile:
    return HubFile(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest(), blob_id="b" * 40)


def small(data: bytes = DATA, path: str = "config.json") -> HubFile:
    return HubFile(path=path, size=len(data), blob_id=git_id(data))


@pytest.fixture
def cache(tmp_path: Path) -> RepoCache:
    return RepoCache(tmp_path / "hf" / "models--o--r")


def put(cache: RepoCache, file: HubFile, data: bytes = DATA) -> Path:
    cache.blob(file).parent.mkdir(parents=True, exist_ok=True)
    cache.blob(file).write_bytes(data)
    cache.place(COMMIT, file)
    return cache.pointer(COMMIT, file)


def test_the_layout_is_the_librarys(cache: RepoCache) -> None:
    hub = pytest.importorskip("huggingface_hub")
    pointer = put(cache, lfs())
    root = cache.folder.parent
    assert cache.folder.name == hub.file_download.repo_folder_name(repo_id="o/r", repo_type="model")
    assert hub.try_to_load_from_cache("o/r", "sub/q.gguf", cache_dir=root, revision=COMMIT) == str(pointer)
    assert not os.path.isabs(os.readlink(pointer))
    found = hub.scan_cache_dir(root)
    assert not found.warnings
    assert [(r.repo_id, r.size_on_disk) for r in found.repos] == [("o/r", len(DATA))]


@pytest.mark.parametrize("file", [lfs(), small(), small(b""), lfs(b"")])
def test_sound_files(cache: RepoCache, file: HubFile) -> None:
    data = DATA if file.size else b""
    cache.require_sound("hf://x", put(cache, file, data), file, "the copy")


@pytest.mark.parametrize("file", [lfs(), small()])
def test_a_file_that_was_tampered_with_is_named_and_removed(cache: RepoCache, file: HubFile) -> None:
    evil = b"Weights" + DATA[7:]
    pointer = put(cache, file, evil)
    found = hashlib.sha256(evil).hexdigest() if file.sha256 else git_id(evil)
    with pytest.raises(MalformedFile, match=r"the copy has the .* was removed: run again") as caught:
        cache.require_sound("hf://o/r/x", pointer, file, "the copy")
    message = str(caught.value)
    assert message.startswith("hf://o/r/x: ")
    assert found in message
    assert file.digest in message
    assert not pointer.is_symlink()
    assert not cache.blob(file).exists()


def test_what_lies_outside_the_cache_is_not_removed(cache: RepoCache, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    pointer = cache.pointer(COMMIT, lfs())
    pointer.parent.mkdir(parents=True)
    pointer.symlink_to(tmp_path / "mine")
    with pytest.raises(MalformedFile):
        cache.require_sound("hf://x", pointer, lfs(), "the copy")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert not pointer.is_symlink()


def test_a_file_is_hashed_once_but_again_when_it_was_touched(cache: RepoCache) -> None:
    pointer = put(cache, lfs())
    cache.require_sound("hf://x", pointer, lfs(), "the copy")
    # what was checked is known by its stamp: this would fail if it were hashed (and shows the limit of a stamp)
    times = cache.blob(lfs()).stat()
    cache.blob(lfs()).write_bytes(b"Weights" + DATA[7:])
    os.utime(cache.blob(lfs()), ns=(times.st_atime_ns, times.st_mtime_ns))
    cache.require_sound("hf://x", pointer, lfs(), "the copy")
    os.utime(cache.blob(lfs()), ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    with pytest.raises(MalformedFile):
        cache.require_sound("hf://x", pointer, lfs(), "the copy")


def test_a_listing_that_lies_about_a_size_does_not_cost_the_file(cache: RepoCache) -> None:
    liar = lfs().model_copy(update={"size": 5})
    pointer = put(cache, liar)
    with pytest.raises(MalformedFile, match="has 7000 bytes, the hub lists 5"):
        cache.require_sound("hf://x", pointer, liar, "the copy")
    assert pointer.is_file()


def test_nothing_there(cache: RepoCache) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        cache.require_sound("hf://x", cache.blob(lfs()), lfs(), "the copy")


def test_placing_twice_and_over_a_link_to_nothing(cache: RepoCache) -> None:
    pointer = put(cache, lfs())
    cache.place(COMMIT, lfs())
    assert pointer.read_bytes() == DATA
    pointer.unlink()
    pointer.symlink_to("nothing")
    cache.place(COMMIT, lfs())
    assert pointer.read_bytes() == DATA


def test_a_file_system_without_links(cache: RepoCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    pointer = put(cache, lfs())
    assert not pointer.is_symlink()
    assert pointer.read_bytes() == DATA
    assert cache.held(COMMIT, lfs()) == len(DATA)


def test_a_cache_that_cannot_be_written_to(cache: RepoCache) -> None:
    cache.folder.mkdir(parents=True)
    (cache.folder / "snapshots").write_text("a file in the way")
    with pytest.raises(OutputProblem, match="set HF_HUB_CACHE"):
        cache.place(COMMIT, lfs())


def test_what_is_held(cache: RepoCache) -> None:
    assert cache.held(COMMIT, lfs()) == 0
    cache.blob(lfs()).parent.mkdir(parents=True)
    cache.partial(lfs()).write_bytes(b"12345")
    assert cache.held(COMMIT, lfs()) == 5
    cache.partial(lfs()).write_bytes(DATA * 2)
    assert cache.held(COMMIT, lfs()) == len(DATA)
    put(cache, lfs())
    assert cache.held(COMMIT, lfs()) == len(DATA)


def test_a_file_that_the_commit_does_not_hold(cache: RepoCache) -> None:
    config = small(path="sub/config.json")
    folder = put(cache, config).parent
    listing = Listing(repo="o/r", commit=COMMIT, files=(config,))
    cache.require_no_strangers("hf://o/r", folder, "sub/", listing)
    (folder / "notes.txt").write_text("nobody reads it")
    cache.require_no_strangers("hf://o/r", folder, "sub/", listing)
    (folder / "chat_template.jinja").write_text("planted")
    with pytest.raises(
        MalformedFile, match=r"lists no 'chat_template\.jinja' for this commit, yet .* delete it"
    ):
        cache.require_no_strangers("hf://o/r", folder, "sub/", listing)
