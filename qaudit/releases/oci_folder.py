"""A release in an OCI image layout as a plain folder that the gate can list: `oci:LAYOUT[:TAG|@DIGEST]`.

Layers become files under the names that they carry, signatures and evidence the files of `.qaudit`.
Nothing that the layout says is believed for that: the gate hashes every file and compares it with the
signature. Report, policy and recipe are looked up by the digests in the signature.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qaudit.attest.dsse import parse_bundle
from qaudit.attest.layout import BUNDLE_LIMIT, Places, places, read_regular
from qaudit.attest.manifest import OMS_SIGNATURE, SIDECAR_FOLDER
from qaudit.attest.oms import OMS_PREDICATE_TYPE
from qaudit.attest.predicate import Predicate
from qaudit.attest.statement import PREDICATE_TYPE, parse_statement, payload_types
from qaudit.attest.summaries import TEST_RESULT_TYPE, VSA_TYPE
from qaudit.checkpoints.hub_spec import is_plain_path
from qaudit.errors import InputError, MalformedFile, VerificationFailed
from qaudit.releases import oci_manifests as oci
from qaudit.releases.opening import OCI_SCHEME
from qaudit.releases.shown_files import scratch_folder, show

TOP = "checkpoint"
_TAIL = re.compile(
    r"(?P<layout>.+?)(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A reference into a layout: its folder, and the tag or digest of what is meant."""

    layout: Path
    tag: str | None
    digest: str | None


def oci_artifact(text: str) -> Artifact:
    """Return what a reference that begins with `oci:` means.

    Raises:
        InputError: it names no layout.
    """
    match = _TAIL.fullmatch(text.removeprefix(OCI_SCHEME))
    if match is None:
        raise InputError(f"{text[:200]!a}: names no layout; write oci:FOLDER[:TAG] or oci:FOLDER@sha256:...")
    return Artifact(Path(match["layout"]), match["tag"], match["digest"])


@contextlib.contextmanager
def oci_folder(artifact: Artifact) -> Iterator[tuple[Path, str, Mapping[Path, Path]]]:
    """Give the folder, the reference by digest, and the blob behind each file, while a block runs.

    Raises:
        InputError: there is no such layout, tag or digest, or not one signature to choose.
        MalformedFile: it is not a layout, or names lead out of the folder.
        VerificationFailed: a file of the checkpoint is missing.
        OutputProblem: the folder cannot be made.
    """
    layout = artifact.layout
    index = oci.read_layout(layout)
    manifests = {
        row.digest: oci.read_manifest(layout, row) for row in index.manifests if row.mediaType == oci.MANIFEST
    }
    chosen = _chosen(artifact, index, manifests)
    model, own_bundle = _model(artifact, chosen, manifests)
    files = _files(layout, model, manifests[model])
    with contextlib.ExitStack() as stack:
        # on the layout's own disk where that may be written to, as hard links cannot lead to another
        scratch = stack.enter_context(scratch_folder(layout.absolute().parent))
        top = scratch / TOP
        (top / SIDECAR_FOLDER).mkdir(parents=True, mode=0o700)
        blobs = {top.joinpath(*name.split("/")): blob for name, blob in files.items()}
        blobs |= _signatures(layout, model, manifests, own_bundle, top)
        for target, blob in blobs.items():
            show(blob, target, scratch)
        with contextlib.suppress(OSError):
            (top / SIDECAR_FOLDER).rmdir()  # where nothing lies in it
        yield top, f"{OCI_SCHEME}{layout}@{model}", blobs


def _chosen(artifact: Artifact, index: oci.Index, manifests: Mapping[str, oci.Manifest]) -> str:
    if artifact.digest:
        if artifact.digest in manifests:
            return artifact.digest
        raise InputError(f"{artifact.layout}: holds no manifest {artifact.digest}; check the digest")
    if artifact.tag:
        found = {r.digest for r in index.manifests if r.annotations.get(oci.TAG) == artifact.tag}
    else:
        found = {digest for digest, manifest in manifests.items() if manifest.subject is None}
    found &= manifests.keys()
    if len(found) == 1:
        return found.pop()
    tags = sorted({r.annotations[oci.TAG] for r in index.manifests if oci.TAG in r.annotations})
    told = f"the tag {artifact.tag}" if artifact.tag else "a checkpoint"
    raise InputError(
        f"{artifact.layout}: holds {len(found)} manifests for {told}; name a digest, or one of the tags"
        f" ({', '.join(tags)[:200] or 'none'})"
    )


def _model(artifact: Artifact, chosen: str, manifests: Mapping[str, oci.Manifest]) -> tuple[str, str | None]:
    """Return the checkpoint's manifest; and the signature's, if that was named."""
    subject = manifests[chosen].subject
    if subject is None:
        return chosen, None
    if subject.digest not in manifests:
        raise InputError(
            f"{artifact.layout}: holds no {subject.digest}, which {chosen} belongs to; copy it too"
        )
    return subject.digest, chosen


def _files(layout: Path, digest: str, manifest: oci.Manifest) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for layer in manifest.layers:
        name = layer.annotations.get(oci.TITLE) or layer.annotations.get(oci.MODELPACK_PATH)
        where = oci.blob_path(layout, digest.removeprefix("sha256:"))
        if not name or not is_plain_path(name):
            raise MalformedFile(
                where, f"holds a layer named {name!a:.100}", "pack each file as a layer of its own"
            )
        if name in files or name == OMS_SIGNATURE or name.split("/")[0] == SIDECAR_FOLDER:
            raise MalformedFile(where, f"holds {name!a:.100} twice or out of place", "pack it again")
        blob = oci.blob_path(layout, layer.sha256)
        if not os.path.lexists(blob):
            # the answer that a missing file gets on disk
            raise VerificationFailed(
                f"{layout}: {name} is missing (no blob sha256:{layer.sha256}); fetch the release again"
            )
        files[name] = blob
    if not files:
        raise InputError(f"{layout}: {digest} holds no files; it is no checkpoint")
    return files


def _signatures(
    layout: Path, model: str, manifests: Mapping[str, oci.Manifest], named: str | None, top: Path
) -> dict[Path, Path]:
    """Return where each signature goes and which blob it is; the audit's brings its evidence."""
    where = places(top)
    targets = {
        PREDICATE_TYPE: where.bundle,
        VSA_TYPE: where.vsa,
        TEST_RESULT_TYPE: where.test_result,
        OMS_PREDICATE_TYPE: top / OMS_SIGNATURE,
    }
    found: dict[str, dict[str, Path]] = {kind: {} for kind in targets}
    for digest, manifest in manifests.items():
        about = manifest.subject is not None and manifest.subject.digest == model
        if about and manifest.artifactType == oci.BUNDLE and len(manifest.layers) == 1:
            blob = oci.blob_path(layout, manifest.layers[0].sha256)
            kind = payload_types(parse_bundle(read_regular(blob, BUNDLE_LIMIT), blob).payload, blob)[1]
            if kind in found:
                found[kind][digest] = blob
    audit = _one(layout, found[PREDICATE_TYPE], named)
    if audit is None:
        alone = _one(layout, found[OMS_PREDICATE_TYPE], named)
        return {} if alone is None else {top / OMS_SIGNATURE: alone}
    chosen = {where.bundle: audit, **_evidence(layout, audit, where)}
    # the others must be the audit's own: of several, only it could say which
    for kind in (VSA_TYPE, TEST_RESULT_TYPE):
        if len(found[kind]) == 1:
            chosen[targets[kind]] = next(iter(found[kind].values()))
    predicate = _predicate(audit)
    if predicate.modelSignature is not None:
        own = oci.blob_path(layout, predicate.modelSignature.digest.sha256)
        if own in found[OMS_PREDICATE_TYPE].values():
            chosen[targets[OMS_PREDICATE_TYPE]] = own
    return chosen


def _one(layout: Path, blobs: Mapping[str, Path], named: str | None) -> Path | None:
    if named is not None and named in blobs:
        return blobs[named]
    if len(blobs) > 1:
        raise InputError(
            f"{layout}: holds {len(blobs)} signatures of the checkpoint; choose one by the digest of its"
            f" manifest: {', '.join(f'{OCI_SCHEME}{layout}@{digest}' for digest in sorted(blobs))}"
        )
    return next(iter(blobs.values()), None)


def _predicate(bundle: Path) -> Predicate:
    payload = parse_bundle(read_regular(bundle, BUNDLE_LIMIT), bundle).payload
    return parse_statement(payload, bundle).predicate


def _evidence(layout: Path, bundle: Path, where: Places) -> dict[Path, Path]:
    predicate = _predicate(bundle)
    wanted = {where.report: predicate.report.digest.sha256, where.policy: predicate.policy.digest.sha256}
    recipe = predicate.quantization.recipe if predicate.quantization else None
    if recipe is not None:
        wanted[where.recipe] = recipe.digest.sha256
    blobs = {target: oci.blob_path(layout, digest) for target, digest in wanted.items()}
    return {target: blob for target, blob in blobs.items() if blob.is_file()}
