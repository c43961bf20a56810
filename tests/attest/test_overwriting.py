"""Signing overwrites and removes what an earlier signature wrote, and no file of anybody else."""

from pathlib import Path

import pytest
from attest.refusals import check
from release_kit import Release, make_release

from qaudit.attest.layout import places
from qaudit.attest.oms_signing import oms_place
from qaudit.attest.overwriting import Earlier
from qaudit.errors import InputError


@pytest.fixture(params=[False, True], ids=["folder", "file"])
def unsigned(request: pytest.FixtureRequest, tmp_path: Path) -> Release:
    return make_release(tmp_path, single=request.param)


@pytest.mark.parametrize("place", ["bundle", "report", "policy", "recipe", "vsa", "test_result"])
def test_a_file_of_somebodys_own_is_neither_overwritten_nor_removed(unsigned: Release, place: str) -> None:
    mine = getattr(places(unsigned.checkpoint), place)
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(InputError, match="came with no earlier signature of this release"):
        unsigned.sign()
    assert mine.read_text() == "mine"
    assert [p for p in places(unsigned.checkpoint).every if p.exists()] == [mine]


def test_what_an_earlier_signature_wrote_is_replaced_or_removed(unsigned: Release) -> None:
    first = unsigned.sign(also=("vsa", "test-result")).places
    assert all(Earlier(first).wrote(path) for path in first.every if path != first.recipe)
    again = unsigned.audited_again()
    again.report.write_text(again.report.read_text() + "\n")
    again.sign(also=("vsa",))
    assert first.report.read_bytes() == again.report.read_bytes()
    assert first.vsa.exists()
    assert not first.test_result.exists()
    assert check(again).audited


@pytest.mark.parametrize("place", ["report", "policy", "vsa", "test_result"])
def test_what_was_changed_since_is_somebodys_own(unsigned: Release, place: str) -> None:
    changed = getattr(unsigned.sign(also=("vsa", "test-result")).places, place)
    changed.write_bytes(changed.read_bytes() + b"\n{")
    with pytest.raises(InputError, match="came with no earlier signature"):
        unsigned.audited_again().sign(valid_days=7) if place != "report" else unsigned.judged("fail").sign(
            accept_risk="for a test"
        )


def test_a_release_is_signed_again_from_its_own_report_and_policy(unsigned: Release) -> None:
    first = unsigned.sign().places
    again = Release(unsigned.checkpoint, first.report, first.policy, unsigned.key, unsigned.public)
    again.sign(valid_days=3)
    # a bundle that is lost does not stand in the way of the same report and policy
    first.bundle.unlink()
    oms_place(unsigned.checkpoint, first.bundle).unlink()
    assert again.sign().decision == "approved"


def test_the_inputs_are_never_the_outputs(tmp_path: Path) -> None:
    release = make_release(tmp_path, single=True)
    out = release.report.with_name("report.sigstore.json")
    release.report.rename(out)
    moved = Release(release.checkpoint, out, release.policy, release.key, release.public)
    before = out.read_bytes()
    with pytest.raises(InputError, match="came with no earlier signature"):
        moved.sign(out=out)
    assert out.read_bytes() == before


def test_a_folder_with_traces_of_another_signature_is_not_signed_elsewhere(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    release.sign()
    out = tmp_path / "o" / "x.sigstore.json"
    with pytest.raises(InputError, match=r"\.qaudit: is of another signature"):
        release.sign(out=out)
    for path in (release.checkpoint / ".qaudit").iterdir():
        path.unlink()
    (release.checkpoint / ".qaudit").rmdir()
    with pytest.raises(InputError, match=r"model\.sig: is of another signature"):
        release.sign(out=out)
    (release.checkpoint / "model.sig").unlink()
    release.sign(out=out)
    assert check(release, bundle=out).audited
