"""A release in a layout passes the gate, whatever the layout says; what cannot be chosen is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_signing import signing as oms_signing
from release_kit import NOW, Release
from releases.by_hand import put

from qaudit.attest import Verified, verify
from qaudit.attest.statement import PREDICATE_TYPE
from qaudit.errors import InputError, MalformedFile, QauditError, VerificationFailed
from qaudit.releases import oci_manifests as oci
from qaudit.releases.oci_folder import Artifact, oci_artifact, oci_folder
from qaudit.releases.oci_pack import Packed, pack


def gate(release: Release, text: str) -> Verified:
    artifact = oci_artifact(text)
    with oci_folder(artifact) as (path, _, _):
        return verify(path, key=release.public, now=NOW)


@pytest.fixture
def packed(signed: Release, tmp_path: Path) -> Packed:
    return pack(signed.checkpoint, tmp_path / "layout")


def rewrite_index(layout: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    index = json.loads((layout / "index.json").read_bytes())
    change(index["manifests"])
    (layout / "index.json").write_text(json.dumps(index))


def rewrite_model(packed: Packed, change: Callable[[dict[str, Any]], object]) -> str:
    """Replace the checkpoint's manifest by a changed one, with everything that refers to it."""
    layout = packed.layout
    model = json.loads(oci.blob_path(layout, packed.digest.removeprefix("sha256:")).read_bytes())
    change(model)
    row = put(layout, json.dumps(model).encode())
    index = json.loads((layout / "index.json").read_bytes())
    rows = []
    for old in index["manifests"]:
        manifest = json.loads(oci.blob_path(layout, old["digest"].removeprefix("sha256:")).read_bytes())
        if "subject" in manifest:
            manifest["subject"] = row
            rows.append(old | put(layout, json.dumps(manifest).encode()))
        else:
            rows.append(old | row)
    (layout / "index.json").write_text(json.dumps({**index, "manifests": rows}))
    return str(row["digest"])


# ---- references ----


def test_references() -> None:
    digest = f"sha256:{'a' * 64}"
    assert oci_artifact("oci:a/b") == Artifact(Path("a/b"), None, None)
    assert oci_artifact("oci:/a/b:v1.0") == Artifact(Path("/a/b"), "v1.0", None)
    assert oci_artifact(f"oci:a@{digest}") == Artifact(Path("a"), None, digest)
    assert oci_artifact("oci:a:b/c") == Artifact(Path("a:b/c"), None, None)
    assert oci_artifact("oci:layout:tag") == Artifact(Path("layout"), "tag", None)
    with pytest.raises(InputError, match="names no layout"):
        oci_artifact("oci:")


# ---- what passes ----


def test_a_packed_release_passes(signed: Release, packed: Packed, tmp_path: Path) -> None:
    for text in (
        f"oci:{packed.layout}",
        f"oci:{packed.layout}:latest",
        f"oci:{packed.layout}@{packed.digest}",
    ):
        verified = gate(signed, text)
        assert verified.audited
        assert verified.names == tuple(file.path for file in packed.files)
    moved = shutil.copytree(packed.layout, tmp_path / "moved")
    assert gate(signed, f"oci:{moved}").audited


def test_the_folder_is_as_it_was_signed_and_costs_no_space(signed: Release, packed: Packed) -> None:
    with oci_folder(Artifact(packed.layout, None, None)) as (path, shown, blobs):
        assert shown == f"oci:{packed.layout}@{packed.digest}"
        for own in signed.checkpoint.rglob("*"):
            name = own.relative_to(signed.checkpoint)
            if own.is_file():
                assert (path / name).read_bytes() == own.read_bytes()
                assert blobs[path / name].stat().st_ino == (path / name).stat().st_ino
    assert not path.exists()


def test_a_single_file_with_its_recipe_passes_as_a_folder(signed_file: Release, tmp_path: Path) -> None:
    layout = pack(signed_file.checkpoint, tmp_path / "layout").layout
    assert gate(signed_file, f"oci:{layout}").names == ("model.gguf",)


def test_a_bare_oms_signature(release: Release, tmp_path: Path) -> None:
    oms_signing.Config().use_elliptic_key_signer(private_key=release.key).sign(
        release.checkpoint, tmp_path / "model.sig"
    )
    shutil.copy(tmp_path / "model.sig", release.checkpoint / "model.sig")
    layout = pack(release.checkpoint, tmp_path / "layout").layout
    assert not gate(release, f"oci:{layout}").audited


def test_a_manifest_of_modelpack_names_its_files_its_own_way(signed: Release, packed: Packed) -> None:
    def rename(model: dict[str, Any]) -> None:
        for layer in model["layers"]:
            layer["annotations"] = {oci.MODELPACK_PATH: layer["annotations"][oci.TITLE]}

    rewrite_model(packed, rename)
    assert gate(signed, f"oci:{packed.layout}").audited


# ---- what does not ----


def test_a_changed_blob_is_refused_whatever_its_name_claims(signed: Release, packed: Packed) -> None:
    weights = next(file for file in packed.files if file.path == "weights.gguf")
    oci.blob_path(packed.layout, weights.sha256).write_bytes(b"GGUF evil")
    with pytest.raises(VerificationFailed, match=r"weights\.gguf: changed"):
        gate(signed, f"oci:{packed.layout}")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m["layers"].pop(), r"weights\.gguf: missing"),
        (lambda m: m["layers"].append({**m["layers"][0], "annotations": {oci.TITLE: "evil.py"}}), r"evil\.py: extra"),
        (lambda m: m["layers"][0]["annotations"].update({oci.TITLE: "other"}), "renamed to other"),
    ],
)  # fmt: skip
def test_other_files_than_signed_are_refused(
    signed: Release, packed: Packed, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    rewrite_model(packed, change)
    with pytest.raises(VerificationFailed, match=says):
        gate(signed, f"oci:{packed.layout}")


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "a/../../b", "", ".qaudit/report.json", "model.sig", "tokenizer/vocab.txt"]
)  # fmt: skip
def test_names_that_lead_elsewhere_or_into_the_signatures_are_refused(
    signed: Release, packed: Packed, name: str
) -> None:
    rewrite_model(packed, lambda m: m["layers"][0]["annotations"].update({oci.TITLE: name}))
    with pytest.raises(MalformedFile, match="holds"):
        gate(signed, f"oci:{packed.layout}")


def test_a_file_that_was_taken_away_is_missed(signed: Release, packed: Packed) -> None:
    weights = (signed.checkpoint / "weights.gguf").read_bytes()
    for path in (packed.layout / "blobs" / "sha256").iterdir():
        if path.read_bytes() == weights:
            path.unlink()
    with pytest.raises(VerificationFailed, match=r"weights\.gguf is missing"):
        gate(signed, f"oci:{packed.layout}")


def test_evidence_that_was_taken_away_is_missed(signed: Release, packed: Packed) -> None:
    for path in (packed.layout / "blobs" / "sha256").iterdir():
        if path.read_bytes() == signed.report.read_bytes():
            path.unlink()
    with pytest.raises(VerificationFailed, match=r"report\.json: cannot be read"):
        gate(signed, f"oci:{packed.layout}")


def test_a_link_in_place_of_a_blob_of_the_index_is_refused(signed: Release, packed: Packed) -> None:
    path = oci.blob_path(packed.layout, packed.digest.removeprefix("sha256:"))
    elsewhere = packed.layout / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(QauditError, match="a symbolic link"):
        gate(signed, f"oci:{packed.layout}")


def test_two_audits_of_one_checkpoint_must_be_chosen_from(
    signed: Release, packed: Packed, tmp_path: Path
) -> None:
    first = signed.bundle.read_bytes()
    signed.sign(valid_days=30)
    second = pack(signed.checkpoint, tmp_path / "second")
    for path in (second.layout / "blobs" / "sha256").iterdir():
        shutil.copy(path, packed.layout / "blobs" / "sha256")
    rows = json.loads((second.layout / "index.json").read_bytes())["manifests"]
    new = next(row for row in rows if row.get("annotations", {}).get(oci.PREDICATE) == PREDICATE_TYPE)
    rewrite_index(packed.layout, lambda own: own.append(new))
    with pytest.raises(InputError, match=r"holds 2 signatures .* choose one"):
        gate(signed, f"oci:{packed.layout}")
    verified = gate(signed, f"oci:{packed.layout}@{new['digest']}")
    assert verified.audit is not None
    assert verified.audit.notAfter.startswith("2026-08-31")
    assert first != signed.bundle.read_bytes()


def test_choosing_what_is_not_there(signed: Release, packed: Packed) -> None:
    with pytest.raises(InputError, match="holds no manifest sha256:0000"):
        gate(signed, f"oci:{packed.layout}@sha256:{'0' * 64}")
    with pytest.raises(InputError, match=r"holds 0 manifests for the tag v9; .*of the tags \(latest\)"):
        gate(signed, f"oci:{packed.layout}:v9")
    rewrite_index(packed.layout, lambda rows: rows.pop(0))
    with pytest.raises(InputError, match="holds 0 manifests for a checkpoint"):
        gate(signed, f"oci:{packed.layout}")


def test_signatures_of_something_else_do_not_count(signed: Release, packed: Packed) -> None:
    def elsewhere(rows: list[dict[str, Any]]) -> None:
        for row in rows[1:]:
            path = oci.blob_path(packed.layout, row["digest"].removeprefix("sha256:"))
            manifest = json.loads(path.read_bytes())
            manifest["subject"]["digest"] = f"sha256:{'0' * 64}"
            row.update(put(packed.layout, json.dumps(manifest).encode()))

    rewrite_index(packed.layout, elsewhere)
    with pytest.raises(InputError, match="is not signed"):
        gate(signed, f"oci:{packed.layout}")
