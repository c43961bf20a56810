import hashlib
import os
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub, row

from qaudit.checkpoints.hub_client import place_from_environment
from qaudit.checkpoints.hub_download import download
from qaudit.checkpoints.hub_listing import HubFile
from qaudit.checkpoints.hub_spec import HubSpec
from qaudit.errors import HubUnreachable, InputError, MalformedFile, OutputProblem

CHUNK = 10 << 20  # what the library writes at once
DATA = os.urandom(1 << 20) * 25


class Bring:
    """Downloads one file; remembers what was told."""

    def __init__(
        self, hub: LoopbackHub, to: Path, data: bytes = DATA, path: str = "sub dir/q#?.gguf"
    ) -> None:
        self.hub, self.to, self.path = hub, to, path
        self.commit = hub.push("o/r", {path: data})
        told = row(path, data)
        self.file = HubFile(path=path, size=len(data), sha256=told["lfs"]["sha256"], blob_id=told["blobId"])
        self.told: list[int] = []

    def __call__(self) -> bytes:
        download(place_from_environment(), HubSpec("o/r", self.commit), self.file, self.to, self.tell)
        return self.to.read_bytes()

    def tell(self, held: int) -> None:
        self.told.append(held)


@pytest.fixture
def bring(hub: LoopbackHub, tmp_path: Path) -> Bring:
    return Bring(hub, tmp_path / "partial")


def test_a_whole_file(bring: Bring, capfd: pytest.CaptureFixture[str]) -> None:
    bring.hub.warning = "; please upgrade\x1b[2J"
    assert bring() == DATA
    assert bring.told == [CHUNK, 2 * CHUNK, len(DATA)]
    assert bring.hub.bytes_sent == len(DATA)
    assert [a.method for a in bring.hub.asked] == ["GET"]
    assert capfd.readouterr() == ("", "")
    assert bring() == DATA  # nothing is missing: nothing is asked
    assert len(bring.hub.asked) == 1


def test_a_connection_that_breaks_is_gone_on_with(bring: Bring) -> None:
    bring.hub.cuts[bring.path] = [CHUNK + 5]
    assert bring() == DATA
    assert [a.headers.get("range") for a in bring.hub.asked] == [None, f"bytes={CHUNK}-"]
    assert bring.hub.bytes_sent == CHUNK + 5 + len(DATA) - CHUNK


def test_a_run_that_was_stopped_is_gone_on_with_by_the_next(
    bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Bring, held: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bring, "tell", stop)
        with pytest.raises(KeyboardInterrupt):
            bring()
    assert bring.to.stat().st_size == CHUNK
    before = bring.hub.bytes_sent
    assert bring() == DATA
    assert bring.hub.asked[-1].headers["range"] == f"bytes={CHUNK}-"
    assert bring.hub.bytes_sent - before == len(DATA) - CHUNK
    assert bring.told == [2 * CHUNK, len(DATA)]


def test_a_hub_that_ignores_ranges_begins_anew(bring: Bring) -> None:
    bring.to.write_bytes(DATA[:CHUNK])
    bring.hub.ignores_ranges = True
    assert bring() == DATA
    assert bring.told == [0, CHUNK, 2 * CHUNK, len(DATA)]


def test_more_than_can_be_of_this_file_is_thrown_away(bring: Bring) -> None:
    bring.to.write_bytes(DATA + b"more")
    assert bring() == DATA


def test_a_hub_that_sends_more_than_it_lists_fills_no_disk(bring: Bring) -> None:
    bring.file = bring.file.model_copy(update={"size": 1000})
    with pytest.raises(MalformedFile, match="sends more than the 1000 bytes that it lists"):
        bring()
    assert bring.to.stat().st_size == 0


def test_a_hub_that_sends_less_than_it_lists(bring: Bring) -> None:
    bring.file = bring.file.model_copy(update={"size": len(DATA) + 7})
    with pytest.raises(MalformedFile, match=f"sent {len(DATA)} bytes and lists {len(DATA) + 7}; run again"):
        bring()
    # there is no more of it, so the next run begins anew
    with pytest.raises(InputError, match="has no more of it; run again"):
        bring()
    assert not bring.to.exists()


def test_no_compression_is_asked_for(bring: Bring) -> None:
    bring()
    assert bring.hub.asked[0].headers["accept-encoding"] == "identity"


def test_the_token_is_sent_to_the_hub_and_to_nobody_else(
    bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    bring.hub.token = "hf_secret"
    with LoopbackHub() as elsewhere:
        elsewhere.push("o/r", {bring.path: DATA})
        bring.hub.elsewhere = elsewhere
        bring.to.write_bytes(DATA[:CHUNK])
        assert bring() == DATA
    assert [a.headers.get("authorization") for a in bring.hub.asked] == ["Bearer hf_secret"]
    assert [a.headers.get("authorization") for a in elsewhere.asked] == [None]
    assert [a.headers.get("range") for a in elsewhere.asked] == [f"bytes={CHUNK}-"]
    assert "secret" not in str([a.headers for a in elsewhere.asked])
    assert elsewhere.bytes_sent == len(DATA) - CHUNK


def test_a_gated_file(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    bring.hub.token, bring.hub.gated = "hf_right", True
    with pytest.raises(InputError, match="ask for it on the model's page, then set HF_TOKEN"):
        bring()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(InputError, match="only to people with access"):
        bring()
    assert [a.status for a in bring.hub.asked] == [401, 403]
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert bring() == DATA


def test_a_file_that_is_gone(bring: Bring) -> None:
    bring.hub.commits["o/r", bring.commit] = {}
    with pytest.raises(InputError, match=r"^hf://o/r@.*/sub dir/q#\?\.gguf: the commit has no such file"):
        bring()


def test_a_hub_that_stays_silent(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket
    import time

    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.05)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between the library's tries
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(HubUnreachable, match="does not answer in time"):
            bring()


def test_a_full_disk_keeps_what_came(bring: Bring) -> None:
    bring.to = Path("/dev/full")
    if not bring.to.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(
        OutputProblem, match=r"No space left on device.*free space there, or set HF_HUB_CACHE"
    ):
        bring()


def test_a_place_that_cannot_be_written_to(bring: Bring, tmp_path: Path) -> None:
    bring.to = tmp_path / "none" / "x"
    with pytest.raises(OutputProblem, match="cannot write"):
        bring()


def test_more_than_hubs_send_over_http(bring: Bring) -> None:
    bring.file = bring.file.model_copy(update={"size": 51 * 10**9})
    with pytest.raises(InputError, match=f"run `hf download o/r .* --revision {bring.commit}`"):
        bring()
    assert bring.hub.asked == []


def test_an_empty_file(hub: LoopbackHub, tmp_path: Path) -> None:
    bring = Bring(hub, tmp_path / "partial", b"")
    assert bring() == b""
    assert bring.file.sha256 == hashlib.sha256(b"").hexdigest()
