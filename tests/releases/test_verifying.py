from pathlib import Path

import pytest
from loopback_hub import LoopbackHub
from release_kit import NOW, Release
from releases.by_hand import tree

from qaudit.errors import OutputProblem, VerificationFailed
from qaudit.releases.oci_pack import pack
from qaudit.releases.verifying import verify_release


def test_what_is_told_is_still_there_afterwards(hub: LoopbackHub, signed: Release, tmp_path: Path) -> None:
    commit = hub.push("o/r", tree(signed.checkpoint))
    packed = pack(signed.checkpoint, tmp_path / "layout")
    for given, shown in (
        (signed.checkpoint, str(signed.checkpoint)),
        ("hf://o/r", f"hf://o/r@{commit}"),
        (f"oci:{packed.layout}:latest", f"oci:{packed.layout}@{packed.digest}"),
    ):
        found = verify_release(given, key=signed.public, now=NOW)
        assert found.shown == shown
        assert found.verified.bundle.read_bytes() == signed.bundle.read_bytes()
        assert found.verified.report is not None
        assert found.verified.policy is not None
        assert found.verified.report.read_bytes() == signed.report.read_bytes()
        assert found.verified.policy.read_bytes() == signed.policy.read_bytes()


def test_a_refused_release(hub: LoopbackHub, signed: Release) -> None:
    hub.push("o/r", tree(signed.checkpoint) | {"evil.py": b"x"})
    with pytest.raises(VerificationFailed, match=r"evil\.py: extra"):
        verify_release("hf://o/r", key=signed.public, now=NOW)


# ---- copies of what passed ----


def test_what_passes_is_copied_whole(
    hub: LoopbackHub, signed: Release, signed_file: Release, tmp_path: Path
) -> None:
    commit = hub.push("o/r", tree(signed.checkpoint) | {".gitattributes": b"*"})
    hub.push("o/f", {p.name: p.read_bytes() for p in signed_file.checkpoint.parent.glob("model.gguf*")})
    out = tmp_path / "deep" / "models"
    found = verify_release("hf://o/r", out=out / "folder", key=signed.public, now=NOW)
    assert found.shown == f"hf://o/r@{commit}"
    assert tree(out / "folder") == tree(signed.checkpoint)
    assert found.verified.path == out / "folder"
    assert found.verified.report == out / "folder" / ".qaudit" / "report.json"
    found = verify_release("hf://o/f/model.gguf", out=out / "file", key=signed_file.public, now=NOW)
    assert found.verified.path == out / "file" / "model.gguf"
    assert set(tree(out / "file")) == set(tree(signed_file.checkpoint.parent)) - {
        n for n in tree(signed_file.checkpoint.parent) if n.startswith("desk/")
    }
    # others may read it, and nobody writes to it by accident
    assert (out / "file" / "model.gguf").stat().st_mode & 0o777 == 0o444
    assert (out / "file").stat().st_mode & 0o700 == 0o700
    # and it is a release like the first
    for copy, key in ((out / "folder", signed.public), (out / "file" / "model.gguf", signed_file.public)):
        assert verify_release(copy, key=key, now=NOW).verified.audited
    assert {path.name for path in out.iterdir()} == {"folder", "file"}


def test_what_does_not_pass_leaves_no_folder(signed: Release, tmp_path: Path) -> None:
    (signed.checkpoint / "evil.py").write_text("x")
    room = tmp_path / "room"
    with pytest.raises(VerificationFailed, match=r"evil\.py: extra"):
        verify_release(signed.checkpoint, out=room / "out", key=signed.public, now=NOW)
    assert not room.exists()
    (tmp_path / "kept").mkdir()
    with pytest.raises(VerificationFailed, match=r"evil\.py: extra"):
        verify_release(signed.checkpoint, out=tmp_path / "kept" / "b" / "c", key=signed.public, now=NOW)
    assert not list((tmp_path / "kept").iterdir())


@pytest.mark.parametrize("kind", ["file", "filled folder", "link"])
def test_nothing_is_overwritten(signed: Release, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "link":
        out.symlink_to(tmp_path / "elsewhere")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    with pytest.raises(OutputProblem, match="is there already"):
        verify_release(signed.checkpoint, out=out, key=signed.public, now=NOW)
    assert not (tmp_path / "elsewhere").exists()


def test_an_empty_folder_is_filled(signed: Release, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    verify_release(signed.checkpoint, out=tmp_path / "out", key=signed.public, now=NOW)
    assert tree(tmp_path / "out") == tree(signed.checkpoint)
