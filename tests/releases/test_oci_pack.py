"""The layout that is written, read here without qaudit's own reader."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from model_signing import signing as oms_signing
from release_kit import Release

from qaudit.attest.statement import PREDICATE_TYPE
from qaudit.errors import InputError, OutputProblem, VerificationFailed
from qaudit.releases.oci_pack import pack

EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
PREDICATE = "dev.sigstore.bundle.predicateType"
OMS = "https://model_signing/signature/v1.0"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def manifests(layout: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows of the index with the manifests that they name."""
    index = json.loads((layout / "index.json").read_bytes())
    return [(row, json.loads(blob(layout, row["digest"]))) for row in index["manifests"]]


def titled(manifest: dict[str, Any]) -> dict[str, str]:
    return {r["annotations"]["org.opencontainers.image.title"]: r["digest"] for r in manifest["layers"]}


def test_every_blob_is_named_by_its_digest_and_reachable(signed: Release, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    pack(signed.checkpoint, layout)
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    blobs = {p.name: p for p in (layout / "blobs" / "sha256").iterdir()}
    assert all(sha256(path.read_bytes()).hexdigest() == name for name, path in blobs.items())
    reached = set()
    for row, manifest in manifests(layout):
        for part in (row, manifest["config"], *manifest["layers"], *filter(None, [manifest.get("subject")])):
            reached.add(part["digest"].removeprefix("sha256:"))
            assert part["size"] == len(blob(layout, part["digest"]))
    assert reached == set(blobs)


def test_layers_are_the_files_and_signatures_refer_to_them_as_cosign_says(
    signed: Release, tmp_path: Path
) -> None:
    packed = pack(signed.checkpoint, tmp_path / "layout", tag="v1")
    (row, model), *others = manifests(packed.layout)
    assert row["annotations"] == {"org.opencontainers.image.ref.name": "v1"}
    assert row["digest"] == packed.digest
    files = {p.relative_to(signed.checkpoint).as_posix(): p for p in signed.checkpoint.rglob("*")}
    assert titled(model) == {
        name: f"sha256:{sha256(path.read_bytes()).hexdigest()}"
        for name, path in files.items()
        if path.is_file() and name != "model.sig" and not name.startswith(".qaudit/")
    }
    signatures = {row["annotations"][PREDICATE]: (row, m) for row, m in others if "annotations" in row}
    assert set(signatures) == {PREDICATE_TYPE, OMS}
    signature_row, signature = signatures[PREDICATE_TYPE]
    (evidence,) = (m for row, m in others if "annotations" not in row)
    for _, manifest in others:
        assert manifest["subject"]["digest"] == packed.digest
        assert manifest["subject"]["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        assert (manifest["schemaVersion"], manifest["config"]["digest"]) == (2, EMPTY)
    assert signature["artifactType"] == signature_row["artifactType"] == BUNDLE
    assert signature["annotations"] == signature_row["annotations"]
    assert signature["annotations"]["dev.sigstore.bundle.content"] == "dsse-envelope"
    assert signature["annotations"]["dev.sigstore.bundle.predicateType"] == PREDICATE_TYPE
    assert signature["annotations"]["org.opencontainers.image.created"] == "2026-08-01T12:00:00Z"
    (layer,) = signature["layers"]
    assert layer["mediaType"] == BUNDLE
    assert blob(packed.layout, layer["digest"]) == signed.bundle.read_bytes()
    digest = layer["digest"].removeprefix("sha256:")
    assert titled(signature) == {f"sha256-{digest}.sigstore.json": layer["digest"]}
    assert set(titled(evidence)) == {"report.json", "policy.yaml"}
    assert blob(packed.layout, titled(evidence)["report.json"]) == signed.report.read_bytes()


def test_the_same_release_has_the_same_digests(signed: Release, tmp_path: Path) -> None:
    first, second = (pack(signed.checkpoint, tmp_path / name) for name in ("one", "two"))
    assert (tmp_path / "one" / "index.json").read_bytes() == (tmp_path / "two" / "index.json").read_bytes()
    assert first.digest == second.digest


def test_an_oms_signature_goes_along_or_alone(release: Release, tmp_path: Path) -> None:
    oms_signing.Config().use_elliptic_key_signer(private_key=release.key).sign(
        release.checkpoint, tmp_path / "model.sig"
    )
    (release.checkpoint / "model.sig").write_bytes((tmp_path / "model.sig").read_bytes())
    alone = pack(release.checkpoint, tmp_path / "alone")
    assert alone.signatures == (OMS,)
    assert "model.sig" not in titled(manifests(alone.layout)[0][1])
    (release.checkpoint / "model.sig").unlink()
    release.sign()
    assert len(pack(release.checkpoint, tmp_path / "both").signatures) == 2


def test_a_single_file_and_a_bundle_elsewhere(signed_file: Release, signed: Release, tmp_path: Path) -> None:
    packed = pack(signed_file.checkpoint, tmp_path / "file")
    assert set(titled(manifests(packed.layout)[0][1])) == {"model.gguf"}
    bundle = tmp_path / "x.sigstore.json"
    for path in (signed.checkpoint / ".qaudit").iterdir():
        path.unlink()
    (signed.checkpoint / ".qaudit").rmdir()
    (signed.checkpoint / "model.sig").unlink()
    signed.sign(out=bundle)
    packed = pack(signed.checkpoint, tmp_path / "folder", bundle=bundle)
    assert packed.signatures == (PREDICATE_TYPE,)


def test_what_is_not_packed(release: Release, tmp_path: Path) -> None:
    out = tmp_path / "layout"
    with pytest.raises(InputError, match="is not signed"):
        pack(release.checkpoint, out)
    release.sign()
    (release.checkpoint / "weights.gguf").write_bytes(b"GGUF other")
    with pytest.raises(VerificationFailed, match=r"weights\.gguf: changed"):
        pack(release.checkpoint, out)
    assert not out.exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".layout")]
    out.mkdir()
    (out / "mine").write_text("x")
    with pytest.raises(OutputProblem, match="not empty"):
        pack(release.checkpoint, out)
    assert (out / "mine").read_text() == "x"


@pytest.mark.parametrize(
    "tag", ["bad tag/..", "", "../up", "-v1", "a" * 129, "v1\n", "v1@sha256:" + "a" * 64, "é"]
)
def test_only_tags_that_a_reader_can_name_are_written(signed: Release, tmp_path: Path, tag: str) -> None:
    with pytest.raises(InputError, match=r"--tag .*: not a tag"):
        pack(signed.checkpoint, tmp_path / "layout", tag=tag)
    assert not (tmp_path / "layout").exists()
    assert pack(signed.checkpoint, tmp_path / "layout", tag="v1.0_b-4").layout.is_dir()


@pytest.mark.parametrize("given", ["path", "out", "bundle"])
def test_names_that_are_too_long_are_refused_in_words(signed: Release, tmp_path: Path, given: str) -> None:
    names: dict[str, Path] = {"path": signed.checkpoint, "out": tmp_path / "layout"}
    with pytest.raises(InputError, match="too long for a name"):
        pack(**{**names, given: tmp_path / ("x" * 5000)})
