"""Bounds of processor time that hold on a machine of any speed, busy or not, and under coverage's tracing."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

# what `_standard` takes on the machine on which the bounds of the tests were chosen, when nothing else runs
STANDARD_S = 0.0100


def _standard() -> None:
    """Work as a parser does: a loop, a dictionary, short strings."""
    seen: dict[str, int] = {}
    for number in range(45_000):
        name = f"n{number & 1023}"
        seen[name] = seen.get(name, 0) + number


@contextmanager
def untraced() -> Iterator[None]:
    """Take the tracer away, whose work would be counted as ours."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


def slowness() -> float:
    """How many times longer than there this processor takes now; never less than 1."""
    with untraced():
        start = time.process_time()
        _standard()
        used = time.process_time() - start
    return max(1.0, used / STANDARD_S)


def used() -> float:
    """The processor time of this process and of those that it has waited for, in seconds."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail if the block and the processes that it ends take more processor time than that.

    Args:
        seconds: On the machine that the bound was chosen on: several times what the block takes there, and far
            below what quadratic work would take.
    """
    before = slowness()
    with untraced():
        start = used()
        yield
        taken = used() - start
    slower = max(before, slowness())
    assert taken <= seconds * slower, (
        f"{taken:.2f} s, over {seconds} s on a machine {slower:.1f} times slower"
    )
