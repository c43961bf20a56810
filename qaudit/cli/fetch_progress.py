"""Progress of a download on a terminal; on anything else one line, and none if nothing is fetched."""

from rich.console import Console
from rich.progress import DownloadColumn, TaskID

from qaudit.cli.event_bars import EventBars


class FetchProgress(EventBars):
    """Shows the bytes of one release; call it with those that are there and those needed."""

    def __init__(self, console: Console, name: str) -> None:
        super().__init__(console, DownloadColumn())
        self._name = name
        self._task: TaskID | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        if self._task is None:
            if done == total:  # all of it was here already
                return
            self._say(f"fetching {self._name}")
            self._task = self._bars.add_task("fetching", total=total)
        self._bars.update(self._task, completed=done, total=total)
