"""Downloads that are cut, killed or run at once, and a hub that is not there."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints.hub_models import BIG, CHUNK, SMALL, below, get
from loopback_hub import LoopbackHub, row

import qaudit
from qaudit.errors import HubUnreachable, MalformedFile


def test_a_download_that_was_stopped_is_gone_on_with(hub: LoopbackHub) -> None:
    hub.push("o/r", {"q.gguf": BIG})
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if done >= CHUNK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get("hf://o/r/q.gguf", progress=stop)
    before = hub.bytes_sent
    fetched = get("hf://o/r/q.gguf", progress=lambda *now: told.append(now))
    assert fetched.path.read_bytes() == BIG
    assert hub.bytes_sent - before == len(BIG) - CHUNK
    assert told == [
        (0, len(BIG)),
        (CHUNK, len(BIG)),
        (CHUNK, len(BIG)),
        (2 * CHUNK, len(BIG)),
        (len(BIG), len(BIG)),
    ]


def test_a_process_that_is_killed_leaves_what_the_next_goes_on_with(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.push("o/r", {"q.gguf": BIG})
    program = (
        "import os, qaudit\n"
        "from qaudit.checkpoints.hub import fetch, parse_hub_spec\n"
        "fetch(parse_hub_spec('hf://o/r/q.gguf'), progress=lambda done, _: done and os.kill(os.getpid(), 9))"
    )
    died = subprocess.run([sys.executable, "-c", program], timeout=600, cwd=Path(qaudit.__file__).parents[1])
    assert died.returncode == -9
    before = hub.bytes_sent
    assert get("hf://o/r/q.gguf").path.read_bytes() == BIG
    assert hub.bytes_sent - before == len(BIG) - CHUNK
    assert [path for path in below(tmp_path / "hf") if "incomplete" in path] == []


def test_a_part_that_was_tampered_with_is_not_used(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.push("o/r", {"q.gguf": BIG})
    blobs = tmp_path / "hf" / "models--o--r" / "blobs"
    blobs.mkdir(parents=True)
    partial = blobs / f"{row('q.gguf', BIG)['lfs']['sha256']}.qaudit.incomplete"
    partial.write_bytes(b"evil" * 1000)
    with pytest.raises(MalformedFile, match=r"what .* sent has the SHA-256"):
        get("hf://o/r/q.gguf")
    assert not partial.exists()
    assert get("hf://o/r/q.gguf").path.read_bytes() == BIG


def test_several_at_once_download_once(hub: LoopbackHub) -> None:
    hub.push("o/r", {"q.gguf": BIG})
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(get("hf://o/r/q.gguf").path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert found[0].read_bytes() == BIG
    assert hub.bytes_of("q.gguf") == len(BIG)


def go_offline(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def go_away(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.stop()


def go_down(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.down = True


@pytest.mark.parametrize("leave", [go_offline, go_away, go_down])
def test_without_a_hub_a_commit_in_the_cache_opens_and_is_still_checked(
    hub: LoopbackHub,
    monkeypatch: pytest.MonkeyPatch,
    leave: Callable[[LoopbackHub, pytest.MonkeyPatch], None],
) -> None:
    commit = hub.push("o/r", SMALL)
    before = get()
    leave(hub, monkeypatch)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between the library's tries
    assert get(f"hf://o/r@{commit}") == before
    with pytest.raises(HubUnreachable, match=f"a commit that was fetched before is hf://o/r@{commit}$"):
        get()
    with pytest.raises(HubUnreachable) as caught:
        get(f"hf://o/r@{'d' * 40}")
    assert "fetched before" not in str(caught.value)
    (before.path / "config.json").write_bytes(b"{'model_type': 'evil!'}")
    with pytest.raises(MalformedFile, match="the copy in the cache has the git id"):
        get(f"hf://o/r@{commit}")
    with pytest.raises(HubUnreachable, match=r"config\.json"):
        get(f"hf://o/r@{commit}")


def test_a_hub_that_lists_a_commit_otherwise_than_before(hub: LoopbackHub) -> None:
    commit = hub.push("o/r", SMALL)
    get()
    hub.commits["o/r", commit] = {**SMALL, "chat_template.jinja": b"evil"}
    with pytest.raises(MalformedFile, match=r"now lists 'chat_template\.jinja' otherwise than before"):
        get()
