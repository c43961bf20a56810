"""Writes a signed checkpoint as an OCI image layout, which any tool for registries can push.

One manifest holds the checkpoint, a layer a file, uncompressed, so that a layer's digest is the file's
signed digest. Every signature is a referrer of it, as cosign keeps them; report, policy and recipe are
the layers of one more referrer, so that they are pushed too.
"""

from dataclasses import dataclass
from pathlib import Path

from qaudit.attest.dsse import parse_bundle
from qaudit.attest.files_differ import FilesDiffer
from qaudit.attest.layout import (
    BUNDLE_LIMIT,
    REPORT_LIMIT,
    Places,
    find_signature,
    places,
    read_regular,
)
from qaudit.attest.manifest import OMS_SIGNATURE, Entry, differences, hash_files, list_files
from qaudit.attest.private_copy import Copying, copy_privately
from qaudit.attest.statement import PREDICATE_TYPE, parse_statement, payload_types
from qaudit.errors import InputError, OutputProblem
from qaudit.files import folder_written_whole, long_names_refused, make_folder, sha256_bytes
from qaudit.releases import oci_manifests as oci
from qaudit.releases.oci_folder import oci_artifact
from qaudit.releases.opening import OCI_SCHEME
from qaudit.values import FileDigest

DEFAULT_TAG = "latest"


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written: the layout, the digest of the checkpoint's manifest, and its files."""

    layout: Path
    digest: str
    files: tuple[FileDigest, ...]
    signatures: tuple[str, ...]


@long_names_refused()
def pack(path: Path, out: Path, *, tag: str = DEFAULT_TAG, bundle: Path | None = None) -> Packed:
    """Write a signed checkpoint with its signatures as an OCI image layout.

    Nothing is verified, for that needs the consumer's key or identity; but a checkpoint whose files are
    not those of its signature is not packed.

    Args:
        path: the checkpoint, a file or a folder.
        out: the layout's folder, which must not be there or be empty.
        tag: the name of the checkpoint in the layout.
        bundle: the signature's place, when it is not the usual one.

    Raises:
        InputError: the checkpoint is not signed, something cannot be read, or the tag is none.
        VerificationFailed: a bundle is none, or the files are not those that it lists.
        OutputProblem: the layout cannot be written; nothing is left behind.
    """
    if not _is_tag(tag):
        raise InputError(
            f"--tag {tag[:200]!a}: not a tag; write up to 128 letters, digits, dots, hyphens and underscores,"
            " a letter, digit or underscore first"
        )
    signature = bundle or find_signature(path)
    where = places(path, None if signature.name == OMS_SIGNATURE else signature)
    signatures = _signatures(path, where)
    entries = list_files(path)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputProblem(f"{out}: is there and not empty; name a new folder")
    make_folder(out.parent)
    with folder_written_whole(out) as layout:
        blobs = oci.blobs_folder(layout)
        blobs.mkdir(parents=True)
        files = _put_files(entries, blobs)
        _refuse_other_files(path, files, signatures, where)
        model = oci.manifest_bytes(
            oci.CHECKPOINT, [oci.file_descriptor(oci.FILE, f.sha256, f.size, f.path) for f in files]
        )
        _put(blobs, oci.EMPTY_BYTES)
        _put(blobs, model)
        subject = oci.descriptor(oci.MANIFEST, model, artifactType=oci.CHECKPOINT)
        rows = [{**subject, "annotations": {oci.TAG: tag}}]
        rows += [_put_signature(blobs, data, kind, subject) for data, kind in signatures.values()]
        evidence = [file for file in (where.report, where.policy, where.recipe) if file.is_file()]
        if evidence:
            rows.append(_put_evidence(blobs, evidence, where, subject))
        index = {"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": rows}
        (layout / "index.json").write_bytes(oci.json_bytes(index))
        (layout / "oci-layout").write_bytes(oci.json_bytes({"imageLayoutVersion": "1.0.0"}))
        (layout / "blobs").chmod(layout.stat().st_mode)
        blobs.chmod(layout.stat().st_mode)
    return Packed(
        out, f"sha256:{sha256_bytes(model)}", files, tuple(sorted(kind for _, kind in signatures.values()))
    )


def _is_tag(text: str) -> bool:
    """Return whether the reader of layouts takes it for a tag: another could be written and never named."""
    try:
        return oci_artifact(f"{OCI_SCHEME}layout:{text}").tag == text
    except InputError:
        return False


def _signatures(path: Path, where: Places) -> dict[Path, tuple[bytes, str]]:
    """Return the bundles with the type of what each says, by their paths."""
    candidates = [where.bundle, where.vsa, where.test_result]
    if path.is_dir():
        candidates.append(path / OMS_SIGNATURE)
    found = {}
    for file in candidates:
        if file.exists() or file.is_symlink():
            data = read_regular(file, BUNDLE_LIMIT)
            found[file] = data, payload_types(parse_bundle(data, file).payload, file)[1]
    if not found:
        raise InputError(f"{path}: has no signature that can be packed; sign it first")
    return found


def _put_files(entries: tuple[Entry, ...], blobs: Path) -> tuple[FileDigest, ...]:
    # the copies are hashed, so that no name can lie about its bytes whatever becomes of the originals
    copies = [Entry(entry.name, blobs / f"file-{number}") for number, entry in enumerate(entries)]
    copy_privately(
        (Copying(entry.path, copy.path) for entry, copy in zip(entries, copies, strict=True)), blobs
    )
    files = hash_files(copies)
    for copy, file in zip(copies, files, strict=True):
        copy.path.chmod(0o644)
        copy.path.replace(blobs / file.sha256)
    return files


def _refuse_other_files(
    path: Path, files: tuple[FileDigest, ...], signatures: dict[Path, tuple[bytes, str]], where: Places
) -> None:
    data, kind = signatures.get(where.bundle, (b"", ""))
    if kind != PREDICATE_TYPE:
        return
    signed = parse_statement(parse_bundle(data, where.bundle).payload, where.bundle).digests()
    problems = differences(signed, {file.path: file.sha256 for file in files})
    if problems:
        raise FilesDiffer(path, problems)


def _put(blobs: Path, data: bytes) -> str:
    digest = sha256_bytes(data)
    (blobs / digest).write_bytes(data)
    return digest


def _put_signature(blobs: Path, data: bytes, kind: str, subject: dict[str, object]) -> dict[str, object]:
    digest = _put(blobs, data)
    annotations = {oci.CONTENT: "dsse-envelope", oci.PREDICATE: kind}
    if kind == PREDICATE_TYPE:
        statement = parse_statement(parse_bundle(data, digest).payload, digest)
        annotations[oci.CREATED] = statement.predicate.timeVerified
    # the name that cosign gives it, so that `oras pull` of several never writes one over another
    layer = oci.file_descriptor(oci.BUNDLE, digest, len(data), f"sha256-{digest}.sigstore.json")
    return _put_referrer(blobs, oci.BUNDLE, [layer], subject, annotations)


def _put_evidence(
    blobs: Path, files: list[Path], where: Places, subject: dict[str, object]
) -> dict[str, object]:
    titles = {where.report: "report.json", where.policy: "policy.yaml", where.recipe: "realign.json"}
    layers = []
    for file in files:
        data = read_regular(file, REPORT_LIMIT)
        layers.append(oci.file_descriptor(oci.FILE, _put(blobs, data), len(data), titles[file]))
    return _put_referrer(blobs, oci.EVIDENCE, layers, subject, {})


def _put_referrer(
    blobs: Path,
    kind: str,
    layers: list[dict[str, object]],
    subject: dict[str, object],
    annotations: dict[str, str],
) -> dict[str, object]:
    manifest = oci.manifest_bytes(kind, layers, subject=subject, annotations=annotations)
    _put(blobs, manifest)
    more = {"annotations": annotations} if annotations else {}
    return oci.descriptor(oci.MANIFEST, manifest, artifactType=kind, **more)
