"""Rows in processes on this machine; a process that dies costs its own row another try, nothing else.

Each process runs one row after another and asks for the next over its own pipe, so that nothing is
shared that a death could leave half done. They ignore ctrl-c, which is the parent's to handle, and end
when it does.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.engines.devices import cuda_present
from qaudit.errors import QauditError
from qaudit.matrix.tasks import Outcome, RowTask, unfinished
from qaudit.processors import available_threads

MAX_RETRIES = 2
WIDE_BYTES = 4 * 1.6  # a weight; measured: 1.54 times the float32 weights
GIB = 1 << 30
# of a row's two checkpoints one is loaded at a time, beside the context and qaudit itself
ROW_OVERHEAD_BYTES = GIB
DIED = "its process died {} times, without a word; is there enough memory? try --jobs 1"
ENDED = "the process that ran it ended by an internal error ({}); please report this as a bug"


def default_jobs(tasks: Sequence[RowTask]) -> int:
    """Return how many rows to run at once: as many as processors and memory allow, one on a GPU."""
    if any(task.wants_gpu(present=cuda_present()) for task in tasks):
        return 1
    largest = max(
        (_size(Path(place)) for task in tasks for place in (task.checkpoint, task.reference)), default=0
    )
    fit = int(_free_memory() / (largest + ROW_OVERHEAD_BYTES))
    return max(1, min(len(tasks), available_threads(), fit))


def _size(path: Path) -> int:
    """Return the memory that a checkpoint takes while it answers, in bytes; 0 for a remote one."""
    try:
        if path.is_dir():
            stored = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
            try:
                # decoded to float32, and as much again for a while
                return int(WIDE_BYTES * open_checkpoint(path).parameters)
            except QauditError:  # the row will say what is wrong with it
                return stored
        return int(1.2 * path.stat().st_size)
    except OSError:  # a remote address, or nothing there
        return 0


def _free_memory() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024
    with contextlib.suppress(ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 * GIB


class LocalPool:
    """Runs rows in up to `jobs` processes.

    Args:
        jobs: how many at once.
        work: what a process does with a row; it must be a function of a module.
    """

    def __init__(self, jobs: int, work: Callable[[RowTask], Outcome]) -> None:
        self._work = work
        self._hands: list[_Hand] = []
        self._jobs = jobs
        self._queue: deque[tuple[RowTask, int]] = deque()

    def room(self) -> int:
        """Return how many rows more would start at once."""
        busy = sum(1 for hand in self._hands if hand.task)
        return max(0, self._jobs - busy - len(self._queue))

    def submit(self, task: RowTask) -> None:
        """Take a row; it starts when a process is free."""
        self._queue.append((task, 1))

    def ended(self, timeout_s: float) -> list[Outcome]:
        """Start what can start, wait at most so long, return the rows that have ended."""
        self._start()
        busy = [hand for hand in self._hands if hand.task]
        ready = wait([thing for hand in busy for thing in (hand.pipe, hand.process.sentinel)], timeout_s)
        outcomes = []
        for hand in busy:
            if hand.pipe in ready or hand.process.sentinel in ready:
                outcome = self._heard(hand)
                if outcome:
                    outcomes.append(outcome)
        return outcomes

    def _start(self) -> None:
        idle = [hand for hand in self._hands if not hand.task]
        while self._queue and (idle or len(self._hands) < self._jobs):
            hand = idle.pop() if idle else _Hand(self._work)
            if hand not in self._hands:
                self._hands.append(hand)
            task, attempt = self._queue.popleft()
            hand.give(task, attempt)
            if hand.task is None:  # it died while nobody looked
                self._hands.remove(hand)
                self._queue.appendleft((task, attempt))

    def _heard(self, hand: "_Hand") -> Outcome | None:
        task, attempt = hand.task, hand.attempt
        said = hand.answer()
        hand.task = None
        if isinstance(said, Outcome) or task is None:
            return said if isinstance(said, Outcome) else None
        self._hands.remove(hand)
        hand.end()
        if said is not None:
            return unfinished(task.name, ENDED.format(said), attempt)
        if attempt <= MAX_RETRIES:
            self._queue.appendleft((task, attempt + 1))
            return None
        return unfinished(task.name, DIED.format(attempt), attempt)

    def close(self) -> None:
        """End every process; rows under way keep what they have stored."""
        for hand in self._hands:
            hand.end()
        self._hands = []


class _Hand:
    """One process and the row that it has."""

    def __init__(self, work: Callable[[RowTask], Outcome]) -> None:
        # spawned, not forked: engines and numpy's threads do not survive a fork
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self.task: RowTask | None = None
        self.attempt = 0
        self.process.start()
        theirs.close()

    def give(self, task: RowTask, attempt: int) -> None:
        self.task, self.attempt = task, attempt
        try:
            self.pipe.send(task)
        except OSError:
            self.end()
            self.task = None

    def answer(self) -> Outcome | str | None:
        """Return the outcome, the last words of one that failed of itself, or None of one that died."""
        try:
            said = self.pipe.recv() if self.pipe.poll() else None
        except (EOFError, OSError):
            return None
        return said if isinstance(said, Outcome | str) else None

    def end(self) -> None:
        # killed, not asked: it may be in the middle of a long call
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, work: Callable[[RowTask], Outcome]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            outcome = work(task)
        except BaseException as error:
            with contextlib.suppress(OSError):
                pipe.send(f"{type(error).__name__}: {error}")
            if os.environ.get("QAUDIT_DEBUG"):
                raise
            raise SystemExit(1) from error
        pipe.send(outcome)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
