"""Where a bundle and the files that travel with it lie, and how they are read and written.

folder DIR         DIR/.qaudit/{audit.sigstore.json, report.json, policy.yaml}
file model.gguf    model.gguf.sigstore.json, model.gguf.report.json, model.gguf.policy.yaml
--out X.sigstore.json    X.report.json and X.policy.yaml beside it

Where there are any, realign.json, vsa.sigstore.json and test-result.sigstore.json lie with them.
"""

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from qaudit.attest.manifest import BUNDLE_NAME, COMPANIONS, OMS_SIGNATURE, SIDECAR_FOLDER, split_anchor
from qaudit.errors import InputError, OutputProblem
from qaudit.files import SHOWN_LONG_NAME, make_folder, write_atomically

BUNDLE_SUFFIX = ".sigstore.json"
BUNDLE_LIMIT = 64 << 20
REPORT_LIMIT = 256 << 20
RECIPE_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class Places:
    """The files that travel with a signed checkpoint; the last three only where there is one.

    `recipe` is the `realign.json` of a checkpoint that qaudit made, `vsa` and `test_result` are
    bundles with the same verdict in words that other tools know.
    """

    bundle: Path
    report: Path
    policy: Path
    recipe: Path
    vsa: Path
    test_result: Path

    @property
    def optional(self) -> tuple[Path, ...]:
        """The files that a release may go without."""
        return self.recipe, self.vsa, self.test_result

    @property
    def every(self) -> tuple[Path, ...]:
        """All of them."""
        return self.bundle, self.report, self.policy, *self.optional


def usable_path(given: Path | str) -> Path:
    """Return what was given as a path that the system can be asked about.

    Raises:
        InputError: no file can have this name: it is empty, or holds a NUL or half a surrogate pair.
    """
    try:
        usable = str(given) != "" and b"\0" not in os.fsencode(given)
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"{ascii(str(given))[:SHOWN_LONG_NAME]}: not a usable path; check it")
    return Path(given)


def places(checkpoint: Path, bundle: Path | None = None) -> Places:
    """Return where the bundle of a checkpoint and its companions lie.

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
        return Places(bundle, *(bundle.with_name(name) for name in COMPANIONS))
    stem = bundle.name.removesuffix(BUNDLE_SUFFIX)
    return Places(bundle, *(bundle.with_name(f"{stem}.{name}") for name in COMPANIONS))


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
    if any(os.path.lexists(path) for path in usual.every):
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


def write_all(where: Places, contents: Mapping[Path, bytes], gone: Collection[Path] = ()) -> None:
    """Write the files of a release, the bundle last, or none of them.

    Args:
        where: their places; an optional one that `contents` does not hold is removed, as it would be
            of an earlier signature.
        contents: what to write by place, the bundle included, and whatever else belongs to it.
        gone: what else is removed.

    Raises:
        OutputProblem: one cannot be written; what was there before is put back.
    """
    folder_is_new = not where.bundle.parent.exists()
    make_folder(where.bundle.parent)
    stale = [*(path for path in where.optional if path not in contents), *gone]
    wanted = [*stale, *(path for path in contents if path != where.bundle), where.bundle]
    before: list[tuple[Path, bytes | None]] = []
    try:
        for path in wanted:
            if path.is_symlink() or path.is_dir():
                raise OutputProblem(f"{path}: is a link or a folder; remove it first")
            before.append((path, path.read_bytes() if path.exists() else None))
            _put(path, contents.get(path))
    except (OutputProblem, OSError) as error:
        for path, data_before in before:
            _put(path, data_before)
        if folder_is_new:
            where.bundle.parent.rmdir()
        if isinstance(error, OutputProblem):
            raise
        raise OutputProblem(
            f"{where.bundle}: cannot write ({error.strerror}); choose another --out"
        ) from error


def _put(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink(missing_ok=True)
    else:
        write_atomically(path, data)
