"""What the processes of a pool do in tests; a module, so that a spawned process can import it."""

import os
import signal
import time
from pathlib import Path

from qaudit.matrix.tasks import Outcome, RowTask


def marked(task: RowTask) -> int:
    """Leave a mark for this start; return how many there are."""
    task.folder.mkdir(parents=True, exist_ok=True)
    with (task.folder / "starts").open("a+") as stream:
        stream.write("x")
        stream.seek(0)
        return len(stream.read())


def work(task: RowTask) -> Outcome:
    """Do what the row's name says."""
    starts = marked(task)
    what = task.name.split("-")[0]
    if what == "dies" or (what == "stumbles" and starts == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "breaks":
        raise ZeroDivisionError("a bug")
    if what == "sleeps":
        (task.folder / "pid").write_text(str(os.getpid()))
        time.sleep(600)
    return Outcome(task.name, 0, None, attempts=starts)


def starts(folder: Path) -> int:
    """Return how often a row was started."""
    return len((folder / "starts").read_text())
