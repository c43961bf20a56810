"""What a template may take, by measures that do not hang on the machine that looks at it.

Seconds are of a standard machine: where they seem to have run out, a fixed piece of work is timed, and on a
slower machine there are more of them. What is out of proportion by that measure, or by the number of rounds
that its loops run or the size of what it multiplies, is too costly; what only took too long here has run out.
Runs in the analyst process, but for `slowness`.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

# what `_standard` takes on the machine on which the bounds were chosen
STANDARD_S = 0.0020
MEASURED = 3  # times; the slowest counts, so that a busy moment is not held against a template
MOST_STRETCH = 4.0  # a machine that is slower than that is told of, not waited for
MOST_ROUNDS = 100_000  # of all loops and macros in one conversation; honest templates stay under a thousand
MOST_BITS, MOST_LENGTH = 1 << 18, 1 << 20  # of a number, text or list that a template multiplies


# no `Exception`s: Jinja makes syntax errors of those that come while it reads a text, and forgets others
class TooCostly(BaseException):
    """A template is out of proportion, on any machine."""


class RanOut(BaseException):
    """A template took longer than is waited for, on a machine on which others would, too."""


class Budget:
    """Processor time of a standard machine for some work.

    Args:
        seconds: several times what an honest template takes.
        what: the work, for the error.
    """

    def __init__(self, seconds: float, what: str = "") -> None:
        self._seconds, self._what = seconds, what
        self._start = time.process_time()
        self._allowed = seconds

    def left(self) -> float:
        """Return how many seconds of this machine there are until it is to be asked again.

        Raises:
            TooCostly: it took more of a standard machine's seconds than there were.
            RanOut: it took more of this machine's than are waited for.
        """
        used = time.process_time() - self._start
        if used >= self._allowed:
            slower = slowness()
            if used >= self._seconds * slower:
                raise TooCostly(f"{self._what} takes more than {self._seconds:g} s of processor time".strip())
            if used >= self._seconds * MOST_STRETCH:
                why = (
                    f"took {used:.1f} s of processor time, on one that is {slower:.1f} times slower than most"
                )
                raise RanOut(f"{self._what} {why}".strip())
            self._allowed = self._seconds * min(slower, MOST_STRETCH)
        return self._allowed - used


@contextmanager
def limited(seconds: float, what: str = "") -> Iterator[None]:
    """Bound the processor time of a block that runs Python code; what one call in C takes is not cut short.

    Raises:
        TooCostly: it takes longer than that on a standard machine.
        RanOut: it takes longer than is waited for on this one.

    It is not to be used within itself: there is one such timer in a process.
    """
    budget = Budget(seconds, what)

    def ring(*_: object) -> None:
        # the timer counts what the kernel sees, which may be a little ahead of the clock
        signal.setitimer(signal.ITIMER_VIRTUAL, max(budget.left(), 0.001))

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def slowness() -> float:
    """Return how many times longer than a standard machine's this processor takes now; never less than 1."""
    taken = STANDARD_S
    for _ in range(MEASURED):
        start = time.process_time()
        _standard()
        taken = max(taken, time.process_time() - start)
    return taken / STANDARD_S


def _standard() -> None:
    """Work as a template does: a loop, a dictionary, short strings."""
    seen: dict[str, int] = {}
    for number in range(9000):
        name = f"n{number & 1023}"
        seen[name] = seen.get(name, 0) + number


def multiplied(left: object, right: object) -> object:
    """Return a product in a template.

    Raises:
        TooCostly: no template needs one so large.
    """
    if isinstance(left, int) and isinstance(right, int):
        _bounded_bits(left.bit_length() + right.bit_length())
    for text, count in ((left, right), (right, left)):
        if (
            isinstance(text, str | list | tuple)
            and isinstance(count, int)
            and len(text) * count > MOST_LENGTH
        ):
            raise TooCostly(
                f"repeats a text or list to {len(text) * count} parts, over {MOST_LENGTH >> 20} MiB"
            )
    return left * right  # type: ignore[operator]


def raised(base: object, power: object) -> object:
    """Return a power in a template.

    Raises:
        TooCostly: no template needs one so large.
    """
    if isinstance(base, int) and isinstance(power, int):
        _bounded_bits(base.bit_length() * power)
    return base**power  # type: ignore[operator]


def _bounded_bits(bits: int) -> None:
    if bits > MOST_BITS:
        raise TooCostly(f"works out a number of {bits} bits")
