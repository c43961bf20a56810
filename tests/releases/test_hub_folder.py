"""A signed release on a hub passes the gate, and nothing that is unsigned passes with it."""

import json
import os
from pathlib import Path

import pytest
import rfc8785
from loopback_hub import LoopbackHub
from model_signing import signing as oms_signing
from release_kit import NOW, Release, make_release
from releases.by_hand import tree

from qaudit.attest import Verified, verify
from qaudit.checkpoints.hub_release import fetch_release
from qaudit.checkpoints.hub_spec import parse_hub_spec
from qaudit.errors import VerificationFailed
from qaudit.releases.hub_folder import hub_folder


def gate(release: Release, text: str = "hf://o/r") -> Verified:
    with hub_folder(fetch_release(parse_hub_spec(text))) as path:
        return verify(path, key=release.public, now=NOW)


def refused(release: Release, says: str, text: str = "hf://o/r") -> None:
    with pytest.raises(VerificationFailed, match=says):
        gate(release, text)


GIT = {".gitattributes": b"*.gguf filter=lfs diff=lfs merge=lfs -text\n"}


def test_a_signed_repository_passes_with_the_file_that_hubs_make(hub: LoopbackHub, signed: Release) -> None:
    hub.push("o/r", tree(signed.checkpoint) | GIT)
    verified = gate(signed)
    assert verified.audited
    assert ".gitattributes" not in verified.names


def test_a_signed_gitattributes_is_held_to_its_signature(hub: LoopbackHub, tmp_path: Path) -> None:
    release = make_release(tmp_path)
    (release.checkpoint / ".gitattributes").write_bytes(b"signed")
    release = release.audited_again()
    release.sign()
    hub.push("o/r", tree(release.checkpoint))
    assert ".gitattributes" in gate(release).names
    hub.push("o/r", tree(release.checkpoint) | GIT)
    refused(release, r"\.gitattributes: changed")
    files = tree(release.checkpoint)
    del files[".gitattributes"]
    hub.push("o/r", files)
    refused(release, r"\.gitattributes: missing")


@pytest.mark.parametrize(
    "name",
    ["modeling.py", "adapter_config.json", "pytorch_model.bin", "README.md", "tokenizer/.gitattributes"],
)
def test_any_other_unsigned_file_of_the_commit_is_refused(
    hub: LoopbackHub, signed: Release, name: str
) -> None:
    hub.push("o/r", tree(signed.checkpoint) | GIT | {name: b"unsigned"})
    refused(signed, f"{name}: extra")


def test_a_changed_or_missing_file_is_refused(hub: LoopbackHub, signed: Release) -> None:
    files = tree(signed.checkpoint)
    hub.push("o/r", files | {"weights.gguf": b"GGUF evil"})
    refused(signed, r"weights\.gguf: changed")
    del files["config.json"]
    hub.push("o/r", files)
    refused(signed, r"config\.json: missing")


def test_a_single_file_and_a_folder_in_a_repository(
    hub: LoopbackHub, signed: Release, signed_file: Release
) -> None:
    files = {f"q4/{p.name}": p.read_bytes() for p in signed_file.checkpoint.parent.glob("model.gguf*")}
    files |= {f"hf/{name}": data for name, data in tree(signed.checkpoint).items()}
    hub.push("o/r", files | GIT | {"unsigned.bin": b"x", "q4/other.gguf": b"x"})
    assert gate(signed_file, "hf://o/r/q4/model.gguf").names == ("model.gguf",)
    assert gate(signed, "hf://o/r/hf").audited
    hub.push("o/r", files | {"hf/.gitattributes": b"x"})  # hubs make it at the top only
    refused(signed, r"\.gitattributes: extra", "hf://o/r/hf")


def test_bytes_changed_in_the_cache_are_refused_without_a_network(hub: LoopbackHub, signed: Release) -> None:
    commit = hub.push("o/r", tree(signed.checkpoint) | GIT)
    spec = parse_hub_spec(f"hf://o/r@{commit}")
    fetched = fetch_release(spec)
    hub.stop()
    assert gate(signed, str(spec)).audited
    fetched.files["weights.gguf"].resolve().write_bytes(b"GGUF evil")
    refused(signed, r"weights\.gguf: changed", str(spec))


def test_a_bare_oms_signature(hub: LoopbackHub, release: Release) -> None:
    oms_signing.Config().use_elliptic_key_signer(private_key=release.key).sign(
        release.checkpoint, release.checkpoint.parent / "model.sig"
    )
    files = tree(release.checkpoint) | GIT
    hub.push("o/r", files | {"model.sig": (release.checkpoint.parent / "model.sig").read_bytes()})
    assert not gate(release).audited


def test_a_signature_that_is_none_leaves_the_hubs_file_out_and_is_refused(
    hub: LoopbackHub, signed: Release
) -> None:
    document = json.loads(signed.bundle.read_bytes())
    for broken in (b"no bundle", rfc8785.dumps({**document, "mediaType": "text/plain"})):
        files = tree(signed.checkpoint) | GIT | {".qaudit/audit.sigstore.json": broken}
        hub.push("o/r", files)
        refused(signed, "not a usable signature bundle")


def test_the_folder_has_no_links_and_is_gone_afterwards(hub: LoopbackHub, signed: Release) -> None:
    hub.push("o/r", tree(signed.checkpoint) | GIT)
    fetched = fetch_release(parse_hub_spec("hf://o/r"))
    with hub_folder(fetched) as path:
        assert tree(path) == tree(signed.checkpoint)
        assert not [p for p in path.rglob("*") if p.is_symlink()]
        blob = fetched.files["weights.gguf"].resolve()
        assert os.stat(path / "weights.gguf").st_ino == blob.stat().st_ino  # no space is taken
    assert not path.parent.exists()
    assert blob.is_file()
