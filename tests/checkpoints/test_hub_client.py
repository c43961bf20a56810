import json
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub, row

from qaudit.checkpoints import hub_client
from qaudit.checkpoints.hub_client import HubPlace, ask_listing, place_from_environment
from qaudit.checkpoints.hub_spec import HubSpec
from qaudit.errors import EnvironmentProblem, HubUnreachable, InputError, LimitExceeded, MalformedFile

FILES = {"q.gguf": b"q" * 100, "config.json": b"{}", "evil.py": b"import os", "pytorch_model.bin": b"pickle"}


def ask(revision: str | None = None, repo: str = "o/r") -> Any:
    return ask_listing(place_from_environment(), HubSpec(repo, revision))


def test_one_request_names_the_commit_and_the_files(hub: LoopbackHub) -> None:
    commit = hub.push("o/r", FILES)
    old = hub.push("o/r", {"q.gguf": b"old"}, branch="refs/pr/1")
    listing = ask()
    assert (listing.repo, listing.commit) == ("o/r", commit)
    assert {path: file.size for path, file in listing.by_path.items()} == {"q.gguf": 100, "config.json": 2}
    assert listing.by_path["q.gguf"].sha256 == row("q.gguf", FILES["q.gguf"])["lfs"]["sha256"]
    assert listing.by_path["config.json"].sha256 is None
    assert listing.by_path["config.json"].blob_id == row("config.json", b"{}")["blobId"]
    assert ask("refs/pr/1").commit == ask(old).commit == old
    assert [a.path for a in hub.asked[:2]] == [
        "/api/models/o/r/revision/main",
        "/api/models/o/r/revision/refs/pr/1",
    ]


def test_no_telemetry_and_a_name_of_our_own(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_AGENT", "somebody")
    hub.push("o/r", FILES)
    ask()
    assert hub.asked[0].headers["user-agent"].startswith("qaudit/")
    assert not {"torch", "agent"} & {
        part.strip().partition("/")[0] for part in hub.asked[0].headers["user-agent"].split(";")
    }


@pytest.mark.parametrize(
    ("repo", "revision", "why"),
    [
        ("o/none", None, "has no such model, or not for everybody; check the name, or set HF_TOKEN"),
        ("o/r", "none", "has no such revision"),
        ("o/r", "d" * 40, "has no such revision"),
    ],
)
def test_what_is_not_there(hub: LoopbackHub, repo: str, revision: str | None, why: str) -> None:
    hub.push("o/r", FILES)
    with pytest.raises(InputError, match=why):
        ask(revision, repo)


def test_a_private_model_needs_the_token_of_the_environment(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.push("o/r", FILES)
    hub.token = "hf_secret"
    with pytest.raises(InputError, match="HF_TOKEN") as caught:
        ask()
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert ask().files


@pytest.mark.parametrize("token", ["hf_se\ncret", "hf_s\u00e9cret", "hf_se\0cret"])
def test_a_token_that_cannot_be_sent_is_not_shown(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    hub.push("o/r", FILES)
    hub.token = "other"
    from huggingface_hub import utils

    monkeypatch.setattr(utils._headers, "get_token", lambda: token)
    with pytest.raises((InputError, EnvironmentProblem)) as caught:
        ask()
    assert "cret" not in str(caught.value)


def test_no_network(hub: LoopbackHub) -> None:
    hub.stop()
    with pytest.raises(
        HubUnreachable, match=r"127\.0\.0\.1:[0-9]+ cannot be reached \(.*refused.*\); check the network"
    ):
        ask()


def test_offline(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachable, match="HF_HUB_OFFLINE is set"):
        ask()
    assert hub.asked == []


def test_a_hub_that_is_down(hub: LoopbackHub) -> None:
    hub.down = True
    with pytest.raises(HubUnreachable, match=r"busy or down \(status 503\)"):
        ask()


def test_a_hub_that_says_nothing(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(hub_client, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(HubUnreachable, match="does not answer in time; check the network"):
            ask()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>log in</html>", b"", b"[]", b"{}", b"null", b"7", b'"x"', b'{"id": "o/r"}', b"[" * 100_000, b"\xff",
        json.dumps({"id": "o/r", "sha": "main", "siblings": []}).encode(),
        json.dumps({"id": "o/r", "sha": "c" * 40, "siblings": [{}]}).encode(),
        json.dumps({"id": "o/r", "sha": "c" * 40, "siblings": [7]}).encode(),
        json.dumps({"id": "o/r", "sha": "c" * 40, "siblings": {"a": 1}}).encode(),
        json.dumps({"id": "o/r", "sha": "c" * 40, "siblings": [{"rfilename": "q.gguf", "lfs": 7}]}).encode(),
        json.dumps({"id": "o/r", "sha": "c" * 40, "siblings": [{"rfilename": "q.gguf", "lfs": {"size": 1}}]}).encode(),
        json.dumps({"id": "o/r", "sha": "c" * 40, "siblings": [{"rfilename": ["q.gguf"], "size": 1}]}).encode(),
        json.dumps({"id": "o/r", "sha": "c" * 40, "siblings": [{"rfilename": "q.gguf"}]}).encode(),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_hubs_ends_in_one_line(hub: LoopbackHub, body: bytes) -> None:
    hub.answers["/api/models/o/r/revision/main"] = (200, body)
    with pytest.raises((MalformedFile, EnvironmentProblem), match=r"^hf://o/r: ") as caught:
        ask()
    assert "HF_ENDPOINT" in str(caught.value)


def test_a_hub_that_answers_with_another_commit(hub: LoopbackHub) -> None:
    commit = hub.push("o/r", FILES)
    hub.refs["o/r", "d" * 40] = commit
    with pytest.raises(MalformedFile, match=f"the hub answers with commit {commit}"):
        ask("d" * 40)


def test_hostile_listings(hub: LoopbackHub) -> None:
    hub.push("o/r", FILES)
    for name in ("../x.gguf", "/etc/x.gguf", "a/../../x"):
        hub.listed = lambda rows, name=name: [*rows, row(name, b"")]  # type: ignore[misc]
        with pytest.raises(MalformedFile, match="leads out of it"):
            ask()
    hub.listed = lambda rows: [*rows, row("a\x1b]0;x\x07.gguf", b"")]
    assert {*ask().by_path} == {"q.gguf", "config.json"}
    hub.listed = lambda rows: [*rows, *(row(f"{i}.gguf", b"") for i in range(10_000))]
    assert len(ask().files) == 10_002
    hub.listed = lambda rows: [{"rfilename": str(i), "size": 1} for i in range(100_001)]
    with pytest.raises(LimitExceeded, match="over 100000 files"):
        ask()


@pytest.mark.parametrize(
    "endpoint",
    ["hub.example", "file:///etc", "ftp://hub", "http://", "https://[::1", "https://h?x=1", "a\nb"],
)
def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(InputError, match=r"^HF_ENDPOINT: .* is no address"):
        place_from_environment()


def test_what_the_environment_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://me:secret@hub.example/mirror/")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "a"))
    place = place_from_environment()
    assert place == HubPlace("https://me:secret@hub.example/mirror", tmp_path / "a")
    assert place.name == "hub.example"
    assert place.repo("o/r").folder == tmp_path / "a" / "models--o--r"
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert place_from_environment().cache == tmp_path / "home" / "hub"
    monkeypatch.delenv("HF_HOME")
    monkeypatch.delenv("HF_ENDPOINT")
    from huggingface_hub import constants

    assert place_from_environment() == HubPlace(constants.ENDPOINT, Path(constants.HF_HUB_CACHE))
