from pathlib import Path

import pytest
from loopback_hub import LoopbackHub
from release_kit import NOW, Release
from releases.by_hand import tree

from qaudit.attest import verify
from qaudit.attest.files_differ import FilesDiffer
from qaudit.errors import InputError, VerificationFailed
from qaudit.releases.oci_pack import pack
from qaudit.releases.opening import open_release


@pytest.fixture(params=["path", "hub", "layout"])
def named(request: pytest.FixtureRequest, hub: LoopbackHub, signed: Release, tmp_path: Path) -> str:
    """The same release in three places, as a person names it."""
    if request.param == "hub":
        hub.push("o/r", tree(signed.checkpoint))
        return "hf://o/r"
    if request.param == "layout":
        return f"oci:{pack(signed.checkpoint, tmp_path / 'layout').layout}"
    return str(signed.checkpoint)


def test_every_place_gives_what_the_gate_reads(named: str, signed: Release) -> None:
    with open_release(named) as release:
        verified = verify(release.path, key=signed.public, now=NOW)
        assert release.shown.startswith(named)
        kept = [release.lasting(verified.bundle), release.lasting(release.path / "weights.gguf")]
    # what is told of a release must still be there when somebody looks
    assert kept[0].read_bytes() == signed.bundle.read_bytes()
    assert kept[1].read_bytes() == (signed.checkpoint / "weights.gguf").read_bytes()


def test_errors_name_what_was_given(named: str, signed: Release, tmp_path: Path) -> None:
    other = signed.key.parent / "report.json"
    with pytest.raises(InputError) as unusable, open_release(named) as release:
        verify(release.path, key=other, now=NOW)
    assert str(other) in str(unusable.value)
    with (
        pytest.raises(VerificationFailed, match="signed in the future") as late,
        open_release(named) as release,
    ):
        verify(release.path, key=signed.public, now=NOW.replace(year=2020))
    assert str(late.value).startswith(f"{release.shown}/.qaudit/audit.sigstore.json: ")


def test_a_refused_release_is_named_by_its_commit_and_its_files(hub: LoopbackHub, signed: Release) -> None:
    commit = hub.push("o/r", tree(signed.checkpoint) | {"evil.py": b"x"})
    with pytest.raises(FilesDiffer) as caught, open_release("hf://o/r@main") as release:
        verify(release.path, key=signed.public, now=NOW)
    assert str(caught.value).startswith(f"hf://o/r@{commit}: not as signed: evil.py: extra")


def test_a_single_file_on_a_hub_keeps_its_name(hub: LoopbackHub, signed_file: Release) -> None:
    files = {f"q/{p.name}": p.read_bytes() for p in signed_file.checkpoint.parent.glob("model.gguf*")}
    commit = hub.push("o/r", files | {"q/model.gguf": b"GGUF evil"})
    with pytest.raises(FilesDiffer) as caught, open_release("hf://o/r/q/model.gguf") as release:
        verify(release.path, key=signed_file.public, now=NOW)
    assert str(caught.value).startswith(f"hf://o/r@{commit}/q/model.gguf: not as signed")


def test_progress_is_told_and_bytes_are_bounded(hub: LoopbackHub, signed: Release) -> None:
    hub.push("o/r", tree(signed.checkpoint))
    told: list[tuple[int, int]] = []
    with open_release("hf://o/r", progress=lambda done, total: told.append((done, total))):
        pass
    total = sum(map(len, tree(signed.checkpoint).values()))
    assert told[0] == (0, total)
    assert told[-1] == (total, total)
    with pytest.raises(InputError, match="more than the 10 allowed"), open_release("hf://o/r", max_bytes=10):
        pass


def test_a_path_made_of_a_reference_is_one(hub: LoopbackHub, signed: Release) -> None:
    hub.push("o/r", tree(signed.checkpoint))
    with open_release(Path("hf://o/r")) as release:
        assert verify(release.path, key=signed.public, now=NOW).audited
