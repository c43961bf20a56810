import json
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub
from release_kit import Release, make_release
from releases.by_hand import tree

from qaudit.cli.main import run


@pytest.fixture
def signed(tmp_path: Path) -> Release:
    release = make_release(tmp_path)
    release.sign(now=None)
    return release


def verify(release: Release, *options: str) -> int:
    return run(["verify", "hf://o/r", "--key", str(release.public), *options])


def test_a_signed_repository(hub: LoopbackHub, signed: Release, capsys: pytest.CaptureFixture[str]) -> None:
    commit = hub.push("o/r", tree(signed.checkpoint) | {".gitattributes": b"*.gguf filter=lfs"})
    assert verify(signed, "--json") == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["path"] == f"hf://o/r@{commit}"
    assert document["audited"] is True
    for name in ("bundle", "report", "policy"):
        assert Path(document[name]).is_file(), name
    assert said.err.startswith("fetching hf://o/r\n")
    assert f"verified: hf://o/r@{commit} (3 files)" in said.err
    assert verify(signed) == 0
    assert "fetching" not in capsys.readouterr().err


def test_an_unsigned_file_fails_the_gate(
    hub: LoopbackHub, signed: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = hub.push("o/r", tree(signed.checkpoint) | {"modeling.py": b"raise SystemExit"})
    assert verify(signed, "--json") == 1
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert (document["verified"], document["problems"]) == (False, ["modeling.py: extra"])
    assert document["reason"].startswith(f"hf://o/r@{commit}: not as signed")
    assert f"qaudit: hf://o/r@{commit}: not as signed: modeling.py: extra" in said.err


def test_what_cannot_be_decided(
    hub: LoopbackHub, signed: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(signed) == 2
    assert "has no such model" in capsys.readouterr().err
    hub.push("o/r", {"config.json": b"{}"})
    assert verify(signed) == 2
    assert "is not signed" in capsys.readouterr().err
    hub.stop()
    assert verify(signed) == 2
    assert "cannot be reached" in capsys.readouterr().err


def test_what_passes_is_copied_to_a_new_folder(
    hub: LoopbackHub, signed: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.push("o/r", tree(signed.checkpoint))
    out = tmp_path / "out"
    assert verify(signed, "--out", str(out), "--json") == 0
    assert tree(out) == tree(signed.checkpoint)
    assert json.loads(capsys.readouterr().out)["report"] == str(out / ".qaudit" / "report.json")
    assert verify(signed, "--out", str(out)) == 2
    assert f"{out}: is there already" in capsys.readouterr().err
    hub.push("o/r", tree(signed.checkpoint) | {"evil.py": b"x"})
    assert verify(signed, "--out", str(tmp_path / "other")) == 1
    assert not (tmp_path / "other").exists()
