"""Progress of an audit on a terminal; on anything else only the few lines that matter."""

from rich.console import Console
from rich.progress import DownloadColumn, MofNCompleteColumn, ProgressColumn, Task, TaskID
from rich.text import Text

from qaudit.auditing.events import Asked, Event, Fetching, Finished, Inspected, Loaded, Noted, Opened
from qaudit.cli.event_bars import EventBars
from qaudit.values import Report

STAGES = {
    "replies": "replies",
    "after_reasoning": "first tokens after reasoning",
    "choices": "multiple choice",
    "passages": "reading",
}
MOST_NAMED = 5


class Done(ProgressColumn):
    """How much of a task is done: bytes of a download, prompts of everything else."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes, self._prompts = DownloadColumn(), MofNCompleteColumn()

    def render(self, task: Task) -> Text:
        """Return it as text."""
        return (self._bytes if task.fields.get("bytes") else self._prompts).render(task)


class AuditProgress(EventBars):
    """Listens to the events of one audit."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, Done())
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def notice(self, event: Event) -> Report | None:
        """Show an event; return the report when it is there."""
        if isinstance(event, Fetching):
            self._fetch(event)
        elif isinstance(event, Opened):
            self._say(f"candidate {event.candidate.path} ({event.candidate.quantization})")
            self._say(f"reference {event.reference.path} ({event.reference.quantization})")
            self._say(f"suites {', '.join(event.suites)}")
        elif isinstance(event, Inspected):
            grave = [f"{f.severity} {f.id}" for f in event.findings if f.severity in ("high", "critical")]
            self._say(
                f"files: {len(event.findings)} findings; {', '.join(grave[:MOST_NAMED]) or 'none is grave'}"
            )
        elif isinstance(event, Loaded):
            self._say(f"{event.arm}: {event.engine}; worker held by {', '.join(event.held) or 'nothing'}")
        elif isinstance(event, Asked):
            self._advance(event)
        elif isinstance(event, Noted):
            self._say(event.text)
        elif isinstance(event, Finished):
            return event.report
        return None

    def _advance(self, event: Asked) -> None:
        name = (event.arm, event.stage)
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(f"{event.arm}: {STAGES[event.stage]}", total=event.total)
        self._bars.update(self._tasks[name], completed=event.done)

    def _fetch(self, event: Fetching) -> None:
        name = (event.arm, event.name)
        if name not in self._tasks:
            if event.done == event.total:  # all of it was here already, so far
                return
            self._say(f"{event.arm}: fetching {event.name}")
            self._tasks[name] = self._bars.add_task(f"{event.arm}: fetching", total=event.total, bytes=True)
        self._bars.update(self._tasks[name], completed=event.done, total=event.total)
