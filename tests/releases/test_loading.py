from pathlib import Path

import pytest
from loopback_hub import LoopbackHub
from release_kit import NOW, Release
from releases.by_hand import tree

import qaudit
from qaudit.errors import InputError, VerificationFailed
from qaudit.releases.oci_pack import pack


def test_a_release_from_anywhere_is_held(
    hub: LoopbackHub, signed: Release, signed_file: Release, tmp_path: Path
) -> None:
    hub.push("o/r", tree(signed.checkpoint))
    hub.push("o/f", {p.name: p.read_bytes() for p in signed_file.checkpoint.parent.glob("model.gguf*")})
    layout = pack(signed.checkpoint, tmp_path / "layout").layout
    room = tmp_path / "room"
    room.mkdir()
    for named in (signed.checkpoint, "hf://o/r", f"oci:{layout}"):
        holding = qaudit.verified_checkpoint(named, folder=room, key=signed.public, now=NOW)
        with holding as path:
            assert tree(path) == tree(signed.checkpoint)
            assert path.is_relative_to(room)
            assert holding.verified.audited
            # the loader's file is no other name of one that somebody else can write to
            assert (path / "weights.gguf").stat().st_nlink == 1
        assert not list(room.iterdir())
    with qaudit.verified_checkpoint(
        "hf://o/f/model.gguf", folder=room, key=signed_file.public, now=NOW
    ) as path:
        assert path.read_bytes() == signed_file.checkpoint.read_bytes()


def test_bytes_changed_in_the_cache_while_it_is_held_do_not_matter(
    hub: LoopbackHub, signed: Release, tmp_path: Path
) -> None:
    hub.push("o/r", tree(signed.checkpoint))
    blobs = tmp_path / "hf" / "models--o--r" / "blobs"
    with qaudit.verified_checkpoint("hf://o/r", key=signed.public, now=NOW) as path:
        for blob in blobs.iterdir():
            blob.write_bytes(b"evil")
        assert tree(path) == tree(signed.checkpoint)


def test_what_is_refused(hub: LoopbackHub, signed: Release, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="nosuchoption"):
        qaudit.verified_checkpoint("hf://o/r", nosuchoption=1)
    holding = qaudit.verified_checkpoint("hf://o/r", key=signed.public)
    with pytest.raises(InputError, match="when the with block begins"):
        _ = holding.verified
    commit = hub.push("o/r", tree(signed.checkpoint) | {"evil.py": b"x"})
    with pytest.raises(VerificationFailed) as caught:
        qaudit.verified_checkpoint("hf://o/r", key=signed.public, now=NOW).__enter__()
    assert str(caught.value).startswith(f"hf://o/r@{commit}: not as signed: evil.py: extra")
    assert not list((tmp_path / "hf").glob(".qaudit-*"))
