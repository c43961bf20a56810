"""Every file of a downloaded folder: what an audit is of, whether or not anything reads it."""

import os
from pathlib import Path

from qaudit.errors import InputError, LimitExceeded

# what tools leave at the top: signatures, version control, what the hub's library knows of a download
OMS_SIGNATURE = "model.sig"
BOOKKEEPING = frozenset({".qaudit", OMS_SIGNATURE, ".git", ".cache"})
FILE_LIMIT, DEPTH_LIMIT = 100_000, 32


def files_of(path: Path) -> list[Path]:
    """Return every file of a folder by name, but for the bookkeeping of tools at its top.

    A linked file counts, as in the hub's cache; a linked folder is not gone into.

    Raises:
        InputError: a folder cannot be listed.
        LimitExceeded: too many files, or folders too deep.
    """
    found: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=_stop):
        here = Path(folder)
        if here == path:
            folders[:] = sorted(set(folders) - BOOKKEEPING)
        kept = set(names) - BOOKKEEPING if here == path else names
        found += [file for name in kept if (file := here / name).is_file()]
        if len(found) > FILE_LIMIT:
            raise LimitExceeded(path, f"more than {FILE_LIMIT} files", "audit a smaller folder")
        if folders and len(here.relative_to(path).parts) >= DEPTH_LIMIT:
            raise LimitExceeded(here, f"more than {DEPTH_LIMIT} folders deep", "flatten it")
    return sorted(found)


def _stop(error: OSError) -> None:
    raise InputError(
        f"{error.filename}: cannot be listed ({error.strerror}); check its permissions"
    ) from error
