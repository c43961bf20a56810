"""Where a bundle, its report and its policy lie, and how they are read and written.

folder DIR         DIR/.qaudit/{audit.sigstore.json, report.json, policy.yaml}
file model.gguf    model.gguf.sigstore.json, model.gguf.report.json, model.gguf.policy.yaml
--out X.sigstore.json    X.report.json and X.policy.yaml beside it
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from qaudit.attest.manifest import OMS_SIGNATURE, SIDECAR_FOLDER, split_anchor
from qaudit.errors import InputError, OutputProblem
from qaudit.files import make_folder, write_atomically

BUNDLE_NAME = "audit.sigstore.json"
BUNDLE_SUFFIX = ".sigstore.json"
BUNDLE_LIMIT = 64 << 20
REPORT_LIMIT = 256 << 20
POLICY_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Places:
    """The three files that travel with a signed checkpoint."""

    bundle: Path
    report: Path
    policy: Path


def places(checkpoint: Path, bundle: Path | None = None) -> Places:
    """Return where the bundle, report and policy of a checkpoint lie.

    Args:
        checkpoint: a file or a folder.
        bundle: the bundle's place, when it is not the usual one.
    """
    if bundle is None:
        if checkpoint.is_dir():
            bundle = checkpoint / SIDECAR_FOLDER / BUNDLE_NAME
        else:
            anchor = split_anchor(checkpoint)
            bundle = anchor.with_name(anchor.name + BUNDLE_SUFFIX)
    if bundle.name == BUNDLE_NAME and bundle.absolute().parent.name == SIDECAR_FOLDER:
        return Places(bundle, bundle.with_name("report.json"), bundle.with_name("policy.yaml"))
    stem = bundle.name.removesuffix(BUNDLE_SUFFIX)
    return Places(bundle, bundle.with_name(f"{stem}.report.json"), bundle.with_name(f"{stem}.policy.yaml"))


def refuse_inside(checkpoint: Path, bundle: Path) -> None:
    """Refuse a bundle that would itself become an unsigned file of the checkpoint.

    Raises:
        InputError: the bundle lies inside the checkpoint folder, or is one of its files.
    """
    root, target = checkpoint.resolve(), bundle.resolve()
    own = root / SIDECAR_FOLDER / BUNDLE_NAME
    if target != own and (target == root or (checkpoint.is_dir() and target.is_relative_to(root))):
        raise InputError(
            f"{bundle}: lies inside the signed checkpoint; put it at {own} or outside the folder"
        )


def find_signature(checkpoint: Path) -> Path:
    """Return the signature that lies with a checkpoint: an audit bundle, else a bare OMS one.

    A checkpoint with any trace of an audit never falls back to the weaker signature: taking
    `audit.sigstore.json` away must not turn an audited release into one that passes without.

    Raises:
        InputError: there is none.
    """
    usual = places(checkpoint)
    if any(os.path.lexists(path) for path in (usual.bundle, usual.report, usual.policy)):
        return usual.bundle
    if checkpoint.is_dir():
        bare = [checkpoint / OMS_SIGNATURE]
    else:
        bare = [checkpoint.with_name(checkpoint.name + ".sig"), checkpoint.with_name(OMS_SIGNATURE)]
    for path in bare:
        if os.path.lexists(path):
            return path
    raise InputError(
        f"{checkpoint}: is not signed ({usual.bundle.name} is not there); name the signature with --bundle"
    )


def read_regular(path: Path, limit: int) -> bytes:
    """Return a regular file's bytes without following a symbolic link.

    Raises:
        InputError: it is missing, a link, special, unreadable or longer than `limit` bytes.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise InputError(f"{path}: not a regular file")
            data = stream.read(limit + 1)
    except OSError as error:
        link = "a symbolic link" if path.is_symlink() else error.strerror
        raise InputError(f"{path}: cannot be read ({link}); check the path and permissions") from error
    if len(data) > limit:
        raise InputError(f"{path}: longer than {limit} bytes; is it the right file?")
    return data


def write_all(where: Places, *, bundle: bytes, report: bytes, policy: bytes) -> None:
    """Write the three files, the bundle last, or none of them.

    Raises:
        OutputProblem: one cannot be written; what was there before is put back.
    """
    folder_is_new = not where.bundle.parent.exists()
    make_folder(where.bundle.parent)
    wanted = ((where.report, report), (where.policy, policy), (where.bundle, bundle))
    before: list[tuple[Path, bytes | None]] = []
    try:
        for path, data in wanted:
            if path.is_symlink() or path.is_dir():
                raise OutputProblem(f"{path}: is a link or a folder; remove it first")
            before.append((path, path.read_bytes() if path.exists() else None))
            write_atomically(path, data)
    except (OutputProblem, OSError) as error:
        for path, data_before in before:
            if data_before is None:
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, data_before)
        if folder_is_new:
            where.bundle.parent.rmdir()
        if isinstance(error, OutputProblem):
            raise
        raise OutputProblem(
            f"{where.bundle}: cannot write ({error.strerror}); choose another --out"
        ) from error
