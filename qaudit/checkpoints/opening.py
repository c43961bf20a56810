"""One door for every format: a path in, a read-only checkpoint out."""

from pathlib import Path

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.hf_repo import CONFIG
from qaudit.errors import InputError
from qaudit.files import unreadable


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a checkpoint by its path, reading headers only.

    Raises:
        InputError: nothing is there, or the format is not one that qaudit reads.
        MalformedFile, LimitExceeded: the file lies about itself.
    """
    path = Path(path)
    try:
        exists, folder = path.exists(), path.is_dir()
        hugging_face = folder and (path / CONFIG).is_file()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise unreadable(path, error) from error
    if not exists:
        raise InputError(f"{path}: no such file; check the path")
    if not folder:
        return GgufCheckpoint(path)
    if hugging_face:
        return HfCheckpoint(path)
    candidates = sorted(path.glob("*.gguf"))
    raise InputError(
        f"{path}: is a folder without {CONFIG}; "
        + (f"name the GGUF file in it, such as {candidates[0]}" if candidates else "what should be read?")
    )
