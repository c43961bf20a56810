"""Blobs under the names that were signed, in a folder that lasts as long as a block.

Hard links, which cost no space, where the disk and the owner of the blob allow it; else copies.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qaudit.attest.private_copy import Copying, copy_privately
from qaudit.errors import InputError, OutputProblem

PREFIX = ".qaudit-release-"


@contextlib.contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Give a folder of our own, in `beside` if that may be written to.

    Raises:
        OutputProblem: it cannot be made.
    """
    scratch = _made(beside)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def show(blob: Path, target: Path, scratch: Path) -> None:
    """Give a blob, or the one that a link leads to, one more name.

    Args:
        blob: the file, or a link to it.
        target: the new name, below the scratch folder.
        scratch: that folder.

    Raises:
        InputError: it is no file, or cannot be read.
        OutputProblem: it cannot be copied, where it must be.
    """
    try:
        real = blob.resolve(strict=True)
        if not real.is_file():
            raise InputError(f"{blob}: is no file; remove it and fetch it again")
        target.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise InputError(f"{blob}: cannot be read ({error}); remove it and fetch it again") from error
    try:
        os.link(real, target, follow_symlinks=False)
    except OSError:  # another disk, one without hard links, or somebody else's file
        copy_privately([Copying(real, target)], scratch)


def _made(beside: Path) -> Path:
    with contextlib.suppress(OSError):
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=beside))
    try:
        return Path(tempfile.mkdtemp(prefix=PREFIX))
    except OSError as error:
        raise OutputProblem(
            f"{error.filename}: cannot make a folder ({error.strerror}); set TMPDIR to another place"
        ) from error
