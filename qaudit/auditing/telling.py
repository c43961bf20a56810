"""Work that calls back, seen as a generator of what it tells: a download takes too long to be silent."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

Told = TypeVar("Told")
Result = TypeVar("Result")


class NobodyListens(Exception):
    """Raised inside of the work when the generator was closed; it ends the work and is seen by nobody."""


def telling(work: Callable[[Callable[[Told], None]], Result]) -> Generator[Told, None, Result]:
    """Do work in a thread; yield what it tells, as it tells it, and return its result.

    When the generator is closed or interrupted, the work is ended where it next tells something, and this
    waits for that.

    Args:
        work: called with what it is to call.

    Raises:
        BaseException: whatever the work raises.
    """
    queue: SimpleQueue[tuple[Told] | None] = SimpleQueue()
    closed = Event()

    def tell(told: Told) -> None:
        if closed.is_set():
            raise NobodyListens
        queue.put((told,))

    with ThreadPoolExecutor(1, "qaudit-telling") as threads:
        try:
            done = threads.submit(work, tell)
            done.add_done_callback(lambda _: queue.put(None))
            while (told := queue.get()) is not None:
                yield told[0]
            return done.result()
        finally:
            closed.set()
