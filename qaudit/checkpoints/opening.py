"""One door for every format: a path or a reference into a hub in, a read-only checkpoint out.

Each format is imported when it is met: whoever opens a folder need not wait for what reads GGUF.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qaudit.checkpoints.hf_repo import CONFIG
from qaudit.checkpoints.hub_spec import Progress, hub_text, parse_hub_spec
from qaudit.errors import InputError
from qaudit.files import unreadable

if TYPE_CHECKING:
    from qaudit.checkpoints.checkpoint import Checkpoint
    from qaudit.checkpoints.hub import FetchedRepo


def open_checkpoint(
    path: str | Path,
    *,
    max_bytes: int | None = None,
    progress: Progress | None = None,
    before_weights: Callable[[Path], None] | None = None,
) -> "Checkpoint":
    """Open a checkpoint, reading headers only.

    Args:
        path: a GGUF file, a folder in Hugging Face layout, or `hf://org/repo[@revision][/file]`, which is
            fetched first (see `qaudit.checkpoints.hub`) and is named in reports by its commit.
        max_bytes: the most that may be fetched from a hub; None for no limit.
        progress: called with the bytes of it that are there and the bytes needed.
        before_weights: called with a hub's folder before its weights are fetched; what it raises ends this.

    Raises:
        InputError: nothing is there, or the format is not one that qaudit reads.
        MalformedFile, LimitExceeded: the file lies about itself, or is not the one that the hub lists.
        HubUnreachable, OutputProblem, MissingExtra: it cannot be fetched.
    """
    reference = hub_text(path)
    if reference is None:
        return _open_local(Path(path), None)
    from qaudit.checkpoints.hub import fetch

    fetched = fetch(
        parse_hub_spec(reference), max_bytes=max_bytes, progress=progress, before_weights=before_weights
    )
    return _open_local(fetched.path, str(fetched.spec), _fetched_files(fetched))


def _fetched_files(fetched: "FetchedRepo") -> list[Path]:
    # the hub's cache may hold more of the commit, brought by others; what a checkpoint is does not hang on it
    inside = f"{fetched.spec.file}/" if fetched.spec.file else ""
    return sorted(fetched.path / file.path.removeprefix(inside) for file in fetched.files)


def _open_local(path: Path, origin: str | None, files: Sequence[Path] | None = None) -> "Checkpoint":
    try:
        exists, folder = path.exists(), path.is_dir()
        hugging_face = folder and (path / CONFIG).is_file()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise unreadable(path, error) from error
    if not exists:
        raise InputError(f"{path}: no such file; check the path")
    if not folder:
        from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint

        return GgufCheckpoint(path, origin)
    if hugging_face:
        from qaudit.checkpoints.hf_checkpoint import HfCheckpoint

        return HfCheckpoint(path, origin, files)
    candidates = sorted(path.glob("*.gguf"))
    raise InputError(
        f"{path}: is a folder without {CONFIG}; "
        + (f"name the GGUF file in it, such as {candidates[0]}" if candidates else "what should be read?")
    )
