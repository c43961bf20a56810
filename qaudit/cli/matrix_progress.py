"""Progress of a matrix: a bar on a terminal, one line a finished row elsewhere."""

from rich.console import Console

from qaudit.cli.event_bars import EventBars
from qaudit.matrix.running import MatrixEvent, RowFinished, RowStarted
from qaudit.report.untrusted import one_line

MOST_NAMED = 4


class MatrixProgress(EventBars):
    """Listens to the events of one matrix."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._bar = self._bars.add_task("rows", total=None)
        self._running: list[str] = []

    def notice(self, event: MatrixEvent) -> None:
        """Show an event."""
        if isinstance(event, RowStarted):
            self._running.append(event.name)
            self._bars.update(self._bar, total=event.total, description=self._described())
        elif isinstance(event, RowFinished):
            self._running = [name for name in self._running if name != event.result.row.name]
            self._bars.update(
                self._bar, total=event.total, completed=event.done, description=self._described()
            )
            self._say(self._line(event))

    def _described(self) -> str:
        more = len(self._running) - MOST_NAMED
        return ", ".join(self._running[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")

    def _line(self, event: RowFinished) -> str:
        result = event.result
        told = [f"{event.done}/{event.total} {result.row.name}: {result.status}"]
        if result.error:
            told.append(one_line(result.error, 500))
        if result.outcome.reused:
            told.append("as it was")
        if result.outcome.attempts > 1:
            told.append(f"at attempt {result.outcome.attempts}")
        return ", ".join(told)
