"""Bars on a terminal and dim lines everywhere: what every listener to events shows with."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)


class EventBars:
    """A display that is on inside a `with` block.

    Args:
        console: where to show; bars are shown on a terminal only.
        done: how much of a task is done; counts if left out.
        transient: take the bars away at the end.
    """

    def __init__(
        self, console: Console, done: ProgressColumn | None = None, *, transient: bool = False
    ) -> None:
        self._console = console
        self._bars = Progress(
            # names of files and rows are not ours: a bracket in one is no markup
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            done or MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=transient,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        """Start the display."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the display."""
        self._bars.stop()

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, style="dim", soft_wrap=True)
