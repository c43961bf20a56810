"""The JSON of an OCI image layout: written exactly, read with bounds.

Image spec v1.1 (https://github.com/opencontainers/image-spec), and for signatures cosign's convention
(https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md): each Sigstore bundle is the one
layer of a manifest of its own, whose `subject` is the manifest of what is signed.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from qaudit.attest.layout import read_regular
from qaudit.errors import InputError, MalformedFile
from qaudit.files import sha256_bytes
from qaudit.strict_json import parse_as

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
FILE = "application/octet-stream"
CHECKPOINT = "application/vnd.qaudit.checkpoint.v1"
EVIDENCE = "application/vnd.qaudit.evidence.v1"
TITLE = "org.opencontainers.image.title"
TAG = "org.opencontainers.image.ref.name"
CREATED = "org.opencontainers.image.created"
CONTENT = "dev.sigstore.bundle.content"
PREDICATE = "dev.sigstore.bundle.predicateType"
MODELPACK_PATH = "org.cncf.model.filepath"
EMPTY_BYTES = b"{}"
JSON_LIMIT = 16 << 20
_DAMAGED = "copy the layout again"

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Annotations = dict[str, str]
Model = TypeVar("Model", bound=BaseModel)


class _Wire(BaseModel):
    # the specification allows keys that it does not know
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Descriptor(_Wire):
    """What names a blob: its type, digest and size."""

    mediaType: str
    digest: Digest
    size: int = Field(ge=0, lt=1 << 53)
    artifactType: str | None = None
    annotations: Annotations = {}

    @property
    def sha256(self) -> str:
        """The digest in hex."""
        return self.digest.removeprefix("sha256:")


class Manifest(_Wire):
    """A manifest of files, and what they belong to."""

    schemaVersion: Literal[2]
    mediaType: Literal["application/vnd.oci.image.manifest.v1+json"]
    artifactType: str | None = None
    config: Descriptor
    layers: tuple[Descriptor, ...] = Field(max_length=100_000)
    subject: Descriptor | None = None
    annotations: Annotations = {}


class Index(_Wire):
    """What a layout holds."""

    schemaVersion: Literal[2]
    manifests: tuple[Descriptor, ...] = Field(max_length=100_000)


class LayoutVersion(_Wire):
    """The file that marks a layout."""

    imageLayoutVersion: Literal["1.0.0"]


def blobs_folder(layout: Path) -> Path:
    """Return where all blobs lie."""
    return layout / "blobs" / "sha256"


def blob_path(layout: Path, sha256: str) -> Path:
    """Return where a blob lies."""
    return blobs_folder(layout) / sha256


def descriptor(kind: str, data: bytes, **more: object) -> dict[str, object]:
    """Return the descriptor of a blob."""
    return {"mediaType": kind, "digest": f"sha256:{sha256_bytes(data)}", "size": len(data), **more}


def file_descriptor(kind: str, sha256: str, size: int, title: str) -> dict[str, object]:
    """Return the descriptor of a file, under its name as `oras` writes and reads it."""
    return {
        "mediaType": kind,
        "digest": f"sha256:{sha256}",
        "size": size,
        "annotations": {TITLE: title},
    }


def manifest_bytes(
    artifact_type: str,
    layers: Sequence[dict[str, object]],
    *,
    subject: dict[str, object] | None = None,
    annotations: Annotations | None = None,
) -> bytes:
    """Return the bytes of a manifest; an artifact without configuration has the empty one."""
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": descriptor(EMPTY, EMPTY_BYTES),
        "layers": list(layers),
    }
    if subject is not None:
        document["subject"] = subject
    if annotations:
        document["annotations"] = annotations
    return json_bytes(document)


def json_bytes(document: object) -> bytes:
    """Return JSON in one form, so that the same release has the same digest."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read_layout(layout: Path) -> Index:
    """Read a layout's index.

    Raises:
        InputError: there is none, or a file cannot be read.
        MalformedFile: it is not one.
    """
    if not (layout / "oci-layout").is_file():
        raise InputError(f"{layout}: is no OCI image layout (it holds no oci-layout); check the path")
    _parsed(LayoutVersion, read_regular(layout / "oci-layout", JSON_LIMIT), layout / "oci-layout")
    return _parsed(Index, read_regular(layout / "index.json", JSON_LIMIT), layout / "index.json")


def read_manifest(layout: Path, wanted: Descriptor) -> Manifest:
    """Read a manifest, held to its digest.

    Raises:
        InputError: it is not there.
        MalformedFile: its bytes have another digest, or are no manifest.
    """
    path = blob_path(layout, wanted.sha256)
    data = read_regular(path, JSON_LIMIT)
    if sha256_bytes(data) != wanted.sha256:
        raise MalformedFile(path, "does not have the digest that is its name", _DAMAGED)
    return _parsed(Manifest, data, path)


def _parsed(model: type[Model], data: bytes, path: Path) -> Model:
    try:
        return parse_as(model, data)
    except ValueError as error:
        raise MalformedFile(path, str(error), _DAMAGED) from error
