"""Nothing that a file holds ends the whole look: what fails on it is told in its place."""

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qaudit.errors import InputError
from qaudit.findings import Surface
from qaudit.static.model_parts import Examined
from qaudit.static.rules import Hit, RuleBook

# a mistake of ours that some input brings out; errors meant for a person are QauditErrors and not here
CRASHES = (
    ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, LookupError, MemoryError,
    OSError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Crash:
    """An inspector that broke on some file."""

    path: str
    inspector: str
    error: str


BOOK: RuleBook[Crash] = RuleBook("inspect", "The look itself.")


@BOOK.rule(
    "crashed",
    "medium",
    title="qaudit's own inspector broke on this",
    why="A file that breaks a parser is rarely an honest one; whatever it holds was not looked at.",
    remedy="do not load it; report it to qaudit with the file, and with QAUDIT_DEBUG=1 for the traceback",
)
def _crashed(crash: Crash) -> Iterator[Hit]:
    yield Hit(crash.path, f"{crash.inspector}: {crash.error}")


def guarded(path: str, kind: str, inspector: str, look: Callable[[], Examined]) -> Examined:
    """Return what a look gives; one that fails gives a skipped surface, and a finding where we broke.

    Raises:
        EnvironmentProblem: as the inspector.
    """
    try:
        return look()
    except InputError as error:
        return Examined(surfaces=[Surface(path, kind, "skipped", str(error))])
    except CRASHES as error:
        if os.environ.get("QAUDIT_DEBUG"):
            raise
        told = f"{type(error).__name__}: {error}"
        return Examined(
            BOOK.findings(Crash(path, inspector, told)),
            [Surface(path, kind, "skipped", f"the inspector {inspector} broke on it")],
        )
