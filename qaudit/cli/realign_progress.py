"""Progress of a realignment: steps with their losses, the plan as a table."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import TaskID
from rich.table import Table

from qaudit.cli.event_bars import EventBars
from qaudit.errors import OtherAudit

if TYPE_CHECKING:
    from realign.events import Event, Finished, Stepped
    from realign.options import RealignOptions
    from realign.plan import Plan

GIGABYTE, MEGABYTE = 1e9, 1e6
SHOWN_LOSSES = 4


class RealignProgress(EventBars):
    """Listens to the events of one realignment.

    Attributes:
        finished: its end, once it is there.
        plan: what it does.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._tasks: dict[str, TaskID] = {}
        self.finished: Finished | None = None
        self.plan: Plan | None = None

    def notice(self, event: "Event") -> None:
        """Show an event."""
        # torch comes with these; whoever listens has waited for it already
        from realign.events import Diagnosed, Finished, Noted, Opened, Planned, Resumed, Stepped, Written

        match event:
            case Opened():
                self._say(f"checkpoint {event.checkpoint.path} ({event.checkpoint.quantization})")
                self._say(f"reference {event.reference.path} ({event.reference.quantization})")
            case Diagnosed():
                self._say(f"method {event.method}: {event.why}; made of {event.parent}")
            case Planned():
                self.plan = event.plan
                self._say(_in_short(event.plan))
            case Resumed():
                self._say(f"{event.arm}: {event.steps} steps are there already")
            case Stepped():
                self._stepped(event)
            case Written():
                self._say(f"{event.arm}: {event.path} written and read back ({event.size_bytes} bytes)")
            case Noted():
                self._say(event.text)
            case Finished():
                self.finished = event

    def _stepped(self, event: "Stepped") -> None:
        if event.arm not in self._tasks:
            self._tasks[event.arm] = self._bars.add_task(event.arm, total=event.total)
        self._bars.update(self._tasks[event.arm], completed=event.number)
        losses = ", ".join(f"{name} {value:.4g}" for name, value in list(event.losses.items())[:SHOWN_LOSSES])
        self._say(f"{event.arm} {event.number}/{event.total} {event.name}, {event.seconds:.1f} s: {losses}")


@contextmanager
def watched_realign(
    checkpoint: str | Path, reference: str | Path, options: "RealignOptions", console: Console
) -> Iterator[RealignProgress]:
    """Realign, showing progress; give what was listened to, with its end (none for a dry run) and plan.

    Until the context ends no other realignment gets the work folder.
    """
    from realign.pipeline import run_realign

    with closing(run_realign(checkpoint, reference, options)) as events:
        with RealignProgress(console) as progress:
            for event in events:
                progress.notice(event)
                if progress.finished is not None:
                    # what comes after the last event is the lock's release
                    break
        yield progress


def watch_realign(
    checkpoint: str | Path, reference: str | Path, options: "RealignOptions", console: Console
) -> RealignProgress:
    """Realign, showing progress; return what was listened to."""
    with watched_realign(checkpoint, reference, options, console) as progress:
        return progress


def watch_resumed_realign(
    checkpoint: str | Path, reference: str | Path, options: "RealignOptions", console: Console
) -> RealignProgress:
    """Go on after the steps that are there, or begin anew where they are another realignment's."""
    try:
        return watch_realign(checkpoint, reference, replace(options, resume=True), console)
    except OtherAudit:
        return watch_realign(checkpoint, reference, replace(options, resume=False), console)


def show_plan(plan: "Plan", console: Console) -> None:
    """Print what would be done."""
    table = Table("stored as", "tensors", "weights", "MB")
    for stored, found in plan.by_kind().items():
        size = f"{found['size_bytes'] / MEGABYTE:.2f}"
        table.add_row(stored, f"{found['tensors']:.0f}", f"{found['weights']:.0f}", size)
    console.print(table)
    console.print(_in_short(plan), markup=False, soft_wrap=True)


def _in_short(plan: "Plan") -> str:
    return (
        f"plan: {plan.method} to {plan.target}, {plan.bits_per_weight:.2f} bits a weight, "
        f"{plan.size_bytes / MEGABYTE:.2f} MB (now {plan.before_bytes / MEGABYTE:.2f}); calibrated on "
        f"{plan.malicious} malicious and {plan.benign} benign prompts, {plan.tokens} tokens; about "
        f"{plan.memory_bytes / GIGABYTE:.1f} GB of memory and {_time(plan.seconds)}, audits left out"
    )


def _time(seconds: float) -> str:
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
