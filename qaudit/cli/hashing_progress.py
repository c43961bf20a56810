"""That a checkpoint is being read, on a terminal: gigabytes take a while, and silence looks like a hang."""

from pathlib import Path
from threading import Lock
from typing import Self

from rich.console import Console
from rich.progress import DownloadColumn, TaskID

from qaudit.cli.event_bars import EventBars


class HashingProgress(EventBars):
    """Shows the bytes of the files that are hashed, and that something is going on until the first is.

    Args:
        console: where to show.
        what: the word for it.
        total: bytes to hash. The display ends with the last of them, so that nothing moves while
            somebody is asked something; None if nobody knows.
    """

    def __init__(self, console: Console, what: str, total: int | None = None) -> None:
        super().__init__(console, DownloadColumn(), transient=True)
        self._what, self._total, self._hashed = what, total or None, 0
        self._counting = Lock()
        self._hashing: TaskID | None = None

    def __enter__(self) -> Self:
        """Start the display."""
        super().__enter__()
        self._hashing = self._bars.add_task(self._what, total=self._total)
        return self

    def read(self, count: int) -> None:
        """Show that so many more bytes are hashed; may be called from several threads."""
        with self._counting:
            self._hashed += count
        if self._hashing is not None:
            self._bars.update(self._hashing, completed=self._hashed)
        if self._total is not None and self._hashed >= self._total:
            self._bars.stop()

    def _show(self, *, visible: bool) -> None:
        if self._hashing is not None:
            self._bars.update(self._hashing, visible=visible)


def signing_progress(console: Console, path: Path) -> HashingProgress:
    """Return the progress of hashing a checkpoint; its bytes are counted for a terminal only.

    Raises:
        InputError, UnsignableTree: the checkpoint cannot be read or signed.
    """
    from qaudit.attest.manifest import list_files

    total = None
    if console.is_terminal:
        total = sum(entry.path.stat().st_size for entry in list_files(path))
    return HashingProgress(console, "hashing", total)
