import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from attest.refusals import check, payload_of, refuse
from release_kit import NOW, Release, make_release, sha256

from qaudit.attest import verify
from qaudit.attest.dsse import parse_bundle
from qaudit.attest.layout import places
from qaudit.attest.local_key import generate_key, load_signer
from qaudit.attest.manifest import hash_files, list_files
from qaudit.attest.oms_signing import oms_place, refuse_overwriting, seal_oms, why_no_oms
from qaudit.attest.oms_statement import parse_oms_statement
from qaudit.attest.overwriting import Earlier
from qaudit.errors import GateFailure, InputError


def oms_of(release: Release) -> Path:
    if release.checkpoint.is_dir():
        return release.checkpoint / "model.sig"
    return release.checkpoint.with_name(release.checkpoint.name + ".sig")


@pytest.mark.parametrize("single", [False, True])
def test_a_release_goes_with_an_oms_signature_that_verifies_alone(tmp_path: Path, single: bool) -> None:
    release = make_release(tmp_path, single=single)
    signed = release.sign()
    assert (signed.oms, signed.why_no_oms) == (oms_of(release), None)
    bound = payload_of(release)["predicate"]["modelSignature"]["digest"]["sha256"]
    assert bound == sha256(oms_of(release).read_bytes())
    assert check(release).audited
    # what lies beside it in a folder was not verified with it, and is left out by name
    left_out = () if single else (".qaudit",)
    bare = verify(
        release.checkpoint, key=release.public, bundle=oms_of(release), ignore_paths=left_out, now=NOW
    )
    assert not bare.audited
    assert set(bare.names) == {file.path for file in signed.files}


def test_it_may_be_left_out(release: Release) -> None:
    signed = release.sign(oms=False)
    assert (signed.oms, signed.why_no_oms) == (None, "left out as asked")
    assert not oms_of(release).exists()
    assert "modelSignature" not in payload_of(release)["predicate"]
    assert check(release).audited


def test_somebody_elses_is_not_left_in_the_folder_of_a_release_without(release: Release) -> None:
    oms_of(release).write_text("somebody else's")
    with pytest.raises(InputError, match="a signature that qaudit did not make"):
        release.sign(oms=False)
    assert oms_of(release).read_text() == "somebody else's"
    assert not release.bundle.exists()


@pytest.mark.parametrize("single", [False, True])
def test_our_own_earlier_one_goes_with_the_release_that_it_came_with(tmp_path: Path, single: bool) -> None:
    release = make_release(tmp_path, single=single)
    release.sign()
    assert oms_of(release).exists()
    release.sign(oms=False)
    assert not oms_of(release).exists()
    assert check(release).audited


def test_beside_a_file_somebody_elses_stays(tmp_path: Path) -> None:
    release = make_release(tmp_path, single=True)
    oms_of(release).write_text("somebody else's")
    release.sign(oms=False)
    assert oms_of(release).read_text() == "somebody else's"


def test_no_other_signature_is_overwritten_but_our_own_is(release: Release) -> None:
    oms_of(release).write_text("somebody else's")
    with pytest.raises(InputError, match="a signature that qaudit did not make"):
        release.sign()
    assert not release.bundle.exists()
    oms_of(release).unlink()
    release.sign()
    first = oms_of(release).read_bytes()
    (release.checkpoint / "config.json").write_text("{}")
    release.audited_again().sign()
    assert oms_of(release).read_bytes() != first
    oms_of(release).write_bytes(first)
    with pytest.raises(InputError, match="a signature that qaudit did not make"):
        release.audited_again().sign()


def test_an_exchanged_or_changed_oms_signature_fails_the_release(signed: Release) -> None:
    place = oms_of(signed)
    good = place.read_bytes()
    place.write_bytes(good + b"\n")
    refuse(signed, "not the OMS signature that came with the audit")
    place.write_bytes(b"")
    refuse(signed, "not the OMS signature that came with the audit")
    place.unlink()
    place.symlink_to(signed.report)
    refuse(signed, "symbolic link")


def test_a_release_is_whole_without_its_oms_signature(signed: Release) -> None:
    oms_of(signed).unlink()
    assert check(signed).audited


@pytest.mark.parametrize("single", [False, True])
def test_without_its_audit_it_does_not_stand_in_for_it(tmp_path: Path, single: bool) -> None:
    # a conditional, expired or revoked release would pass as bare once its audit is taken away
    release = make_release(tmp_path, single=single).judged("fail")
    signed = release.sign(accept_risk="for a test")
    for path in signed.places.every:
        path.unlink(missing_ok=True)
    if not single:
        signed.places.bundle.parent.rmdir()
    refuse(release, "came with an audit, which is not here")
    assert not check(release, bundle=oms_of(release)).audited


def test_with_another_place_for_the_bundle_it_lies_beside_that(release: Release, tmp_path: Path) -> None:
    out = tmp_path / "out" / "claims.sigstore.json"
    signed = release.sign(out=out)
    assert signed.oms == out.with_name("claims.sig")
    assert not oms_of(release).exists()
    assert check(release, bundle=out).audited
    out.with_name("claims.sig").write_bytes(b"{}")
    refuse(release, "not the OMS signature", bundle=out)


def test_it_moves_with_the_folder(signed: Release, tmp_path: Path) -> None:
    moved = shutil.copytree(signed.checkpoint, tmp_path / "elsewhere")
    assert check(replace(signed, checkpoint=moved)).audited


def test_an_ed25519_key_and_a_split_file_go_without_and_say_why(tmp_path: Path) -> None:
    signed = make_release(tmp_path, kind="ed25519").sign()
    assert signed.oms is None
    assert signed.why_no_oms == "OMS signatures are made with ECDSA keys, not with Ed25519"
    generate_key(tmp_path / "k.pem")
    signer = load_signer(tmp_path / "k.pem", lambda: "")
    for number in (1, 2):
        (tmp_path / f"m-0000{number}-of-00002.gguf").write_bytes(b"GGUF")
    parts = hash_files(list_files(tmp_path / "m-00001-of-00002.gguf"))
    assert "not the parts of a split file" in str(why_no_oms(signer, parts, single=True))
    assert why_no_oms(signer, parts, single=False) is None


def test_nothing_is_sealed_when_the_gate_refuses(release: Release) -> None:
    with pytest.raises(GateFailure):
        release.judged("fail").sign()
    assert not oms_of(release).exists()


def test_a_folder_of_gits_files_alone_has_nothing_for_oms(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / ".gitattributes").write_text("x")
    generate_key(tmp_path / "k.pem")
    signer = load_signer(tmp_path / "k.pem", lambda: "")
    with pytest.raises(InputError, match="holds nothing that OMS signs; sign with --no-oms"):
        seal_oms(folder, hash_files(list_files(folder)), signer, folder / "model.sig")


def test_the_model_is_named_by_its_folder(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(release.checkpoint)
    signer = load_signer(release.key, lambda: "")
    raw = seal_oms(Path(), hash_files(list_files(Path())), signer, Path("model.sig"))
    assert parse_oms_statement(parse_bundle(raw, "b").payload, "b").subject[0].name == "model"


def test_places(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF")
    assert oms_place(file, tmp_path / "m.gguf.sigstore.json") == tmp_path / "m.gguf.sig"
    assert oms_place(file, tmp_path / "x.sigstore.json") == tmp_path / "x.sig"
    assert oms_place(tmp_path, tmp_path / ".qaudit" / "audit.sigstore.json") == tmp_path / "model.sig"
    assert oms_place(tmp_path, tmp_path / "x" / ".." / ".qaudit" / "audit.sigstore.json").name == "model.sig"
    none = Earlier(places(file))
    refuse_overwriting(tmp_path / "none.sig", none)
    (tmp_path / "none.sig").touch()
    with pytest.raises(InputError, match="did not make"):
        refuse_overwriting(tmp_path / "none.sig", none)
