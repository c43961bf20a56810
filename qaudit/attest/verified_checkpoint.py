"""A checkpoint that stays verified while it is loaded.

`verify` reads a path, a loader reads it again, and whoever can write there may swap the bytes in
between. Here everything is copied into a folder of our own first (mode 0700), the gate judges the
copy, and the loader is given the copy: what was checked is what is loaded, whatever happens to the
original. The copy is of plain files under the same names, so that llama.cpp maps it, split GGUF
files find their parts, transformers finds its folder, and worker processes can open it too.

It costs disk space and a copy (no bytes are copied where the disk shares blocks). It does not
protect from other processes of the same user, who could as well change the loader itself.
"""

import inspect
import os
import shutil
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from qaudit.attest.layout import find_signature, places, usable_path
from qaudit.attest.manifest import OMS_SIGNATURE, SIDECAR_FOLDER, UnsignableTree, list_files
from qaudit.attest.oms_signing import oms_place
from qaudit.attest.private_copy import Copying, copy_privately, name_originals, private_folder
from qaudit.attest.release_checks import usual_place
from qaudit.attest.verifying import Verified, verify
from qaudit.errors import InputError, QauditError, VerificationFailed
from qaudit.files import long_names_refused

PREFIX = "qaudit-held-"


class VerifiedCheckpoint(AbstractContextManager[Path]):
    """What `verified_checkpoint` returns; `verified` says what was verified, once the block began."""

    def __init__(self, path: Path, folder: Path | None, options: dict[str, Any]) -> None:
        self._path, self._folder, self._options = path, folder, options
        self._verified: Verified | None = None
        self._stack = ExitStack()

    @property
    def verified(self) -> Verified:
        """What the gate found; its paths are in the private copy.

        Raises:
            InputError: the `with` block has not begun.
        """
        if self._verified is None:
            raise InputError(f"{self._path}: is verified when the with block begins; look inside it")
        return self._verified

    def __enter__(self) -> Path:
        with ExitStack() as stack:
            scratch = private_folder(PREFIX, self._folder)
            stack.callback(shutil.rmtree, scratch, ignore_errors=True)
            held = self._hold(scratch)
            self._stack = stack.pop_all()
        return held

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @long_names_refused()
    def _hold(self, scratch: Path) -> Path:
        held = scratch / "checkpoint" / (Path(os.path.abspath(self._path)).name or "checkpoint")
        options = dict(self._options)
        bundle = None if options.get("bundle") is None else usable_path(options["bundle"])
        originals = {held.parent: Path(os.path.abspath(self._path)).parent}
        options["ignore_paths"] = tuple(options.get("ignore_paths", ()))
        try:
            wanted = _checkpoint_files(self._path, held, options["ignore_paths"], named=bundle is not None)
        except UnsignableTree as error:
            raise VerificationFailed(str(error)) from error
        if bundle is not None:
            bundle = usual_place(self._path, bundle)
            copied = options["bundle"] = _held_bundle(bundle, self._path, held, scratch / "signature")
            originals[copied.parent] = bundle.absolute().parent
            own, oms = places(self._path, bundle).every, oms_place(self._path, bundle)
            # a folder's own lies in the folder, and is copied with it
            in_folder = self._path.is_dir() and oms == self._path / OMS_SIGNATURE
            wanted |= _signature_files(own if in_folder else (*own, oms), copied.parent)
        copy_privately((Copying(source, target) for target, source in wanted.items()), scratch)
        try:
            self._verified = verify(held, **options)
        except QauditError as error:
            # the person knows the original, and the copy is gone by the time that they read this
            name_originals(error, originals)
            raise
        return held


def verified_checkpoint(
    path: Path | str,
    *,
    folder: Path | str | None = None,
    require_audit: bool = True,
    **options: Any,  # noqa: ANN401 - those of verify, which checks them
) -> VerifiedCheckpoint:
    """Give a private copy of a checkpoint that passed the gate, for as long as a `with` block runs.

        with verified_checkpoint("model.gguf", key="release.pub.pem") as path:
            llama = Llama(str(path))

    Nothing may use the path after the block: the copy is removed. Files that `ignore_paths` leaves
    out of a bare OMS signature are not in it.

    Args:
        path: the checkpoint, a file or a folder.
        folder: where the copy is made; by default the system's folder for temporary files. Name one
            on the checkpoint's own disk where that shares blocks (btrfs, xfs), or one in memory such
            as `/dev/shm`.
        require_audit: refuse a bare OMS signature, as nothing says that its files were audited. Unlike
            `verify` this is not asked for: what is loaded is audited unless somebody says otherwise.
        options: those of `qaudit.attest.verify`, such as `key`; `bundle` too is copied first.

    Raises:
        TypeError: there is no such option.
        VerificationFailed: the checkpoint does not pass, when the block is entered.
        InputError: something given is unusable, or there is no signature at all.
        OutputProblem: the copy cannot be made.
    """
    options["require_audit"] = require_audit
    inspect.signature(verify).bind(path, **options)
    return VerifiedCheckpoint(Path(path), None if folder is None else Path(folder), options)


def _checkpoint_files(path: Path, held: Path, ignored: tuple[str, ...], *, named: bool) -> dict[Path, Path]:
    """Return the copies to make, as target to source: what is signed, and what the gate will look at."""
    left_out = [PurePosixPath(name) for name in ignored]
    entries = list_files(path, left_out)
    usual = places(path)
    if path.is_dir():
        wanted = {held.joinpath(*entry.name.split("/")): entry.path for entry in entries}
        if PurePosixPath(OMS_SIGNATURE) not in left_out:
            wanted |= _signature_files((path / OMS_SIGNATURE,), held)
        if PurePosixPath(SIDECAR_FOLDER) not in left_out:
            wanted |= _signature_files(usual.every, held / SIDECAR_FOLDER)
        return wanted
    wanted = {held.with_name(entry.name): entry.path for entry in entries}
    if named:  # its neighbours are of another signature
        return wanted
    found = find_signature(path)
    own = (*usual.every, oms_place(path, found)) if found == usual.bundle else (found,)
    return wanted | _signature_files(own, held.parent)


def _signature_files(paths: tuple[Path, ...], folder: Path) -> dict[Path, Path]:
    return {folder / path.name: path for path in paths if os.path.lexists(path)}


def _held_bundle(bundle: Path, path: Path, held: Path, outside: Path) -> Path:
    """Return where the copy of a bundle that was named goes; the names say which files are its own."""
    root, target = path.resolve(), bundle.resolve()
    if path.is_dir() and target.is_relative_to(root):
        return held.joinpath(*target.relative_to(root).parts)
    if bundle.absolute().parent.name == SIDECAR_FOLDER:
        return outside / SIDECAR_FOLDER / bundle.name
    return outside / bundle.name
