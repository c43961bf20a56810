"""One door for every format: a path in, a read-only checkpoint out."""

from pathlib import Path

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.errors import InputError


def open_checkpoint(path: str | Path) -> GgufCheckpoint:
    """Open a checkpoint by its path, reading headers only.

    Raises:
        InputError: nothing is there, or the format is not one that qaudit reads.
        MalformedFile, LimitExceeded: the file lies about itself.
    """
    path = Path(path)
    if path.is_dir():
        candidates = sorted(path.glob("*.gguf"))
        raise InputError(
            f"{path}: is a folder; name the GGUF file in it"
            + (f", such as {candidates[0]}" if candidates else " (it holds none)")
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    return GgufCheckpoint(path)
