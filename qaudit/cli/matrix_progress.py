"""Progress of a matrix: a bar on a terminal, one line a finished row elsewhere."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from qaudit.matrix.running import MatrixEvent, RowFinished, RowStarted
from qaudit.report.untrusted import one_line

MOST_NAMED = 4


class MatrixProgress:
    """Listens to the events of one matrix."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar = self._bars.add_task("rows", total=None)
        self._running: list[str] = []

    def __enter__(self) -> "MatrixProgress":
        """Start the display."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the display."""
        self._bars.stop()

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
            self._console.print(self._line(event), markup=False, highlight=False, style="dim", soft_wrap=True)

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
