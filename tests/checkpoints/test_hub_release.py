"""Every file of a signed release on a hub, held to the hub's digests, with strangers and lies refused."""

from pathlib import Path

import pytest
from loopback_hub import LoopbackHub

from qaudit.checkpoints.hub_release import FetchedRelease, fetch_release
from qaudit.checkpoints.hub_spec import parse_hub_spec
from qaudit.errors import HubUnreachable, InputError, LimitExceeded, MalformedFile

FILES = {
    ".gitattributes": b"*.gguf filter=lfs",
    ".qaudit/audit.sigstore.json": b"a bundle",
    "README.md": b"read me",
    "config.json": b"{}",
    "modeling.py": b"raise SystemExit",
    "pytorch_model.bin": b"a pickle",
    "sub/q.gguf": b"GGUF in a folder",
    "sub/q.gguf.sigstore.json": b"its bundle",
    "sub/q.gguf.report.json": b"its report",
    "sub/model.sig": b"oms",
    "sub/other.gguf": b"GGUF other",
    "sub/q.gguf2": b"no sidecar",
    "q.gguf": b"GGUF at the top",
}


def get(text: str = "hf://o/r") -> FetchedRelease:
    return fetch_release(parse_hub_spec(text))


def contents(fetched: FetchedRelease) -> dict[str, bytes]:
    return {name: place.read_bytes() for name, place in fetched.files.items()}


def test_a_repository_comes_whole_whatever_qaudit_reads_of_it(hub: LoopbackHub) -> None:
    commit = hub.push("o/r", FILES)
    fetched = get()
    assert contents(fetched) == FILES
    assert fetched.single is None
    assert str(fetched.spec) == f"hf://o/r@{commit}"
    sent = hub.bytes_sent
    assert contents(get()) == FILES
    assert hub.bytes_sent == sent  # from the cache the second time


def test_a_folder_comes_with_what_is_below_it(hub: LoopbackHub) -> None:
    hub.push("o/r", FILES)
    fetched = get("hf://o/r/sub")
    assert set(fetched.files) == {n.removeprefix("sub/") for n in FILES if n.startswith("sub/")}
    assert fetched.single is None


def test_a_single_file_comes_with_its_signatures(hub: LoopbackHub) -> None:
    hub.push("o/r", FILES)
    fetched = get("hf://o/r@main/sub/q.gguf")
    assert fetched.single == "q.gguf"
    assert contents(fetched) == {
        name: FILES[f"sub/{name}"]
        for name in ("q.gguf", "q.gguf.sigstore.json", "q.gguf.report.json", "model.sig")
    }
    assert set(get("hf://o/r/q.gguf").files) == {"q.gguf"}


def test_parts_of_a_split_file_come_together_with_the_first_ones_signatures(hub: LoopbackHub) -> None:
    parts = {f"m-0000{i}-of-00003.gguf": b"GGUF %d" % i for i in (1, 2, 3)}
    signature = {"m-00001-of-00003.gguf.sigstore.json": b"bundle"}
    hub.push("o/r", parts | signature | {"m-00001-of-00002.gguf": b"of another"})
    fetched = get("hf://o/r/m-00002-of-00003.gguf")
    assert contents(fetched) == parts | signature
    assert fetched.single == "m-00002-of-00003.gguf"
    hub.push("o/s", {"m-00001-of-99999.gguf": b"x"})
    with pytest.raises(LimitExceeded, match="99999 shards"):
        get("hf://o/s/m-00001-of-99999.gguf")


def test_what_is_not_there(hub: LoopbackHub) -> None:
    hub.push("o/r", FILES)
    for name in ("none", "sub/none.gguf", "su"):
        with pytest.raises(InputError, match="no such file or folder"):
            get(f"hf://o/r/{name}")


def test_other_bytes_than_the_hub_lists_are_refused(hub: LoopbackHub) -> None:
    hub.push("o/r", FILES)
    hub.tampered["modeling.py"] = b"raise SystemError"
    with pytest.raises(MalformedFile, match=r"modeling\.py"):
        get()


@pytest.mark.parametrize("name", ["back\\slash.py", " space", "a:b", "dot.", "new\nline", "esc\x1b[31m"])
def test_a_name_that_not_every_disk_can_hold_is_refused_rather_than_left_out(
    hub: LoopbackHub, name: str
) -> None:
    hub.push("o/r", FILES | {name: b"unsigned"})
    with pytest.raises(MalformedFile, match="a name that not every disk can hold") as caught:
        get()
    assert str(caught.value).isprintable()


def snapshot(fetched: FetchedRelease) -> Path:
    return fetched.files["config.json"].parent


@pytest.mark.parametrize("kind", ["file", "link to a folder", "file below"])
def test_a_stranger_in_the_cache_is_refused(hub: LoopbackHub, tmp_path: Path, kind: str) -> None:
    hub.push("o/r", FILES)
    top = snapshot(get())
    if kind == "file":
        (top / "adapter_config.json").write_text("{}")
    elif kind == "file below":
        (top / "sub" / "evil.py").write_text("x")
    else:
        (tmp_path / "elsewhere").mkdir()
        (top / "plugins").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MalformedFile, match=r"the hub lists no .* for this commit"):
        get()
    assert set(get("hf://o/r/q.gguf").files) == {"q.gguf"}  # which has nothing to do with it


def test_without_a_network_a_commit_in_the_cache_will_do(hub: LoopbackHub) -> None:
    commit = hub.push("o/r", FILES)
    get()
    hub.stop()
    fetched = get(f"hf://o/r@{commit}")
    assert contents(fetched) == FILES
    assert contents(get(f"hf://o/r@{commit}/sub/q.gguf"))["q.gguf"] == FILES["sub/q.gguf"]
    for text in ("hf://o/r", "hf://o/r@main", f"hf://o/r@{'0' * 40}"):
        with pytest.raises(HubUnreachable):
            get(text)


def test_too_large(hub: LoopbackHub) -> None:
    hub.push("o/r", FILES)
    with pytest.raises(LimitExceeded, match="more than the 10 allowed"):
        fetch_release(parse_hub_spec("hf://o/r"), max_bytes=10)
    assert hub.bytes_sent == 0
