"""What stands for a value while a pickle is followed: little is known of most, and nothing is made."""

from dataclasses import dataclass
from typing import Final

from qaudit.static.pickles.walk import Import

MAX_TEXT_BYTES: Final = 4 << 20  # of all texts together


class _Thing:
    """A value of which nothing is known."""

    def __repr__(self) -> str:
        return "…"


THING: Final = _Thing()
MARK: Final = _Thing()
CUT: Final = _Thing()  # a text too long to keep


@dataclass(frozen=True, slots=True)
class Made:
    """What calling a global gave; `text` is its first argument where that is a text."""

    target: Import | None
    text: str = ""


@dataclass(slots=True)
class Nest:
    """A container; `doublings` says how far it grows when it is written out: two to that power."""

    doublings: float = 0.0


@dataclass(slots=True)
class Allowance:
    """What all walks over one file together may use."""

    operations: int = 300_000
    text_bytes: int = MAX_TEXT_BYTES


def number_of(line: bytes) -> int:
    """Return the number that a line of protocol 0 is, or -1."""
    return int(line) if len(line) < 12 and line.isdigit() else -1


def unescaped(text: str) -> str:
    """Return what a text of protocol 0 says, its escapes resolved."""
    if "\\" not in text:
        return text
    try:
        return text.encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        return text


def as_latin(raw: bytes) -> bytes:
    """Return the bytes that protocol 2 writes as a text, one character for each."""
    return raw.decode("utf-8", "ignore").encode("latin-1", "replace")
