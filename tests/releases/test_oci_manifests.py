import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from releases.by_hand import put

from qaudit.errors import InputError, MalformedFile
from qaudit.releases import oci_manifests as oci


def write_layout(layout: Path, rows: list[dict[str, Any]], **index: Any) -> Path:
    layout.mkdir(exist_ok=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0", "more": true}')
    document = {"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": rows, **index}
    (layout / "index.json").write_text(json.dumps(document))
    return layout


def test_an_artifact_without_configuration_has_the_empty_one_of_the_specification() -> None:
    config = json.loads(oci.manifest_bytes(oci.CHECKPOINT, []))["config"]
    # the figures that the image specification gives for it
    assert config["digest"] == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert (config["mediaType"], config["size"]) == ("application/vnd.oci.empty.v1+json", 2)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    layer = oci.file_descriptor(oci.FILE, "a" * 64, 5, "a/b.gguf")
    subject = oci.descriptor(oci.MANIFEST, b"subject")
    data = oci.manifest_bytes(oci.CHECKPOINT, [layer], subject=subject, annotations={"k": "v"})
    layout = write_layout(tmp_path / "l", [put(tmp_path / "l", data)])
    row = oci.read_layout(layout).manifests[0]
    manifest = oci.read_manifest(layout, row)
    assert manifest.layers[0].annotations == {oci.TITLE: "a/b.gguf"}
    assert manifest.layers[0].sha256 == "a" * 64
    assert manifest.subject is not None
    assert manifest.subject.size == len(b"subject")
    assert (manifest.artifactType, manifest.annotations) == (oci.CHECKPOINT, {"k": "v"})
    assert data == oci.manifest_bytes(oci.CHECKPOINT, [layer], subject=subject, annotations={"k": "v"})


def test_keys_that_are_unknown_are_allowed_as_the_specification_says(tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "l", [], annotations={"a": "b"}, subject=None)
    assert oci.read_layout(layout).manifests == ()


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ("[]", "object"),
        ("{", "JSON"),
        ('{"schemaVersion": 1, "manifests": []}', "schemaVersion"),
        ('{"schemaVersion": 2, "schemaVersion": 2, "manifests": []}', "twice|duplicate"),
        ('{"schemaVersion": 2}', "manifests"),
        ('{"schemaVersion": 2, "manifests": [{"mediaType": "x", "digest": "sha256:../../x", "size": 1}]}', "digest"),
        ('{"schemaVersion": 2, "manifests": [{"mediaType": "x", "digest": "md5:aa", "size": 1}]}', "digest"),
    ],
)  # fmt: skip
def test_what_is_no_index_is_refused(tmp_path: Path, index: str, says: str) -> None:
    layout = write_layout(tmp_path / "l", [])
    (layout / "index.json").write_text(index)
    with pytest.raises(MalformedFile, match=f"index.json: .*({says})"):
        oci.read_layout(layout)


def test_what_is_no_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no OCI image layout"):
        oci.read_layout(tmp_path)
    layout = write_layout(tmp_path / "l", [])
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(MalformedFile, match="imageLayoutVersion"):
        oci.read_layout(layout)
    (layout / "oci-layout").unlink()
    (layout / "oci-layout").symlink_to("index.json")
    with pytest.raises(InputError, match="a symbolic link"):
        oci.read_layout(layout)


def test_a_manifest_is_held_to_its_digest(tmp_path: Path) -> None:
    row = oci.Descriptor.model_validate(put(tmp_path, oci.manifest_bytes(oci.CHECKPOINT, [])))
    assert oci.read_manifest(tmp_path, row).layers == ()
    oci.blob_path(tmp_path, row.sha256).write_bytes(oci.manifest_bytes(oci.EVIDENCE, []))
    with pytest.raises(MalformedFile, match="does not have the digest"):
        oci.read_manifest(tmp_path, row)
    oci.blob_path(tmp_path, row.sha256).unlink()
    with pytest.raises(InputError, match="cannot be read"):
        oci.read_manifest(tmp_path, row)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=10))  # fmt: skip
def test_any_json_is_a_manifest_or_refused(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    layout = tmp_path_factory.getbasetemp() / "any"
    row = oci.Descriptor.model_validate(put(layout, json.dumps(document).encode()))
    with pytest.raises(MalformedFile):
        oci.read_manifest(layout, row)
