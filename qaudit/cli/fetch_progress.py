"""Progress of a release's download and check on a terminal; elsewhere one line, if anything is fetched."""

from rich.console import Console
from rich.progress import TaskID

from qaudit.cli.hashing_progress import HashingProgress


class FetchProgress(HashingProgress):
    """Shows the bytes of one release; call it with those that are there and those needed."""

    def __init__(self, console: Console, name: str) -> None:
        super().__init__(console, "checking")
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
        # the check begins when all is here
        self._show(visible=done == total)
