"""Characters in a text that nobody sees: direction overrides, zero-width characters, tags, controls.

Joiners that a script or an emoji needs are not told; a text with any of the others shows a person
something else than it gives a program or a model.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from qaudit.findings import Severity
from qaudit.static.lazy_pattern import LazyPattern

Kind = Literal["direction", "zero-width", "tag", "selector", "control", "mark"]
MOST = 1000  # of one text; more say no more

_DIRECTION = "\u202a-\u202e\u2066-\u2069"
_ZERO_WIDTH = "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0"
_JOINERS = "\u200c\u200d"
_TAGS = "\U000e0000-\U000e007f"
_SELECTORS = "\U000e0100-\U000e01ef"
# tab, line feed and carriage return are part of texts
CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
# for a pattern's brackets: all that a name has no use for, with the marks that texts from right to left need
_MARKS = "\u061c\u200e\u200f"
UNSEEN = f"{_DIRECTION}{_ZERO_WIDTH}{_JOINERS}{_TAGS}{_SELECTORS}{_MARKS}"
NEAR_A_MARK = 60  # characters on either side of which one is written from right to left
_MARK = LazyPattern(f"[{_MARKS}]")
_ANY = LazyPattern(f"[{_DIRECTION}{_ZERO_WIDTH}{_JOINERS}{_TAGS}{_SELECTORS}{CONTROLS}]")
_KINDS: tuple[tuple[Kind, LazyPattern[str]], ...] = (
    ("direction", LazyPattern(f"[{_DIRECTION}]")),
    ("tag", LazyPattern(f"[{_TAGS}]")),
    ("selector", LazyPattern(f"[{_SELECTORS}]")),
    ("control", LazyPattern(f"[{CONTROLS}]")),
)
# the flags of England, Scotland and Wales: a black flag, its letters as tags, the closing tag
_FLAG = LazyPattern("\U0001f3f4[\U000e0061-\U000e007a]{2,6}\U000e007f")


@dataclass(frozen=True, slots=True)
class Hidden:
    """One such character, at an index of the text."""

    at: int
    code: int
    kind: Kind


def hidden(text: str, *, marks: bool = False) -> list[Hidden]:
    """Return the characters that nobody sees, at most `MOST`.

    Args:
        text: any.
        marks: also the marks of direction (U+200E, U+200F, U+061C), where nothing near them is written from
            right to left: Arabic and Hebrew need them.
    """
    if text.isascii() and text.isprintable():
        return []
    found = list(islice(_all(text), MOST))
    if marks and not text.isascii():
        found += islice(_marks(text), MOST - len(found))
    return found


def gravity(found: Sequence[Hidden]) -> Severity | None:
    """Return `medium` where there are marks of direction and nothing else: they hide nothing."""
    return "medium" if all(item.kind == "mark" for item in found) else None


def _marks(text: str) -> Iterator[Hidden]:
    near_until = -1
    for match in _MARK.finditer(text):
        at = match.start()
        if at <= near_until:
            continue
        first, last = max(0, at - NEAR_A_MARK), min(len(text) - 1, at + NEAR_A_MARK)
        # the last letter, so that the marks after it are not looked at one by one
        letter = next((place for place in range(last, first - 1, -1) if _goes_left(text[place])), None)
        if letter is None:
            yield Hidden(at, ord(match[0]), "mark")
        else:
            near_until = letter + NEAR_A_MARK


def _goes_left(letter: str) -> bool:
    """Return whether it is of a script that is written from right to left."""
    return letter > "\u058f" and letter not in _MARKS and unicodedata.bidirectional(letter) in ("R", "AL")


def named(found: Sequence[Hidden], most: int = 5) -> str:
    """Return the first few for a person: `U+202E (direction) at character 7`."""
    told = ", ".join(f"U+{item.code:04X} ({item.kind}) at character {item.at}" for item in found[:most])
    more = len(found) - most
    return f"{told} and {more} more" if more > 0 else told


def shown(text: str, most: int = 80) -> str:
    """Return a text in ASCII and in one line, shortened, for evidence."""
    return ascii(text if len(text) <= most else f"{text[:most]}…")


def _all(text: str) -> Iterator[Hidden]:
    flags = [match.span() for match in _FLAG.finditer(text)] if "\U000e007f" in text else []
    for match in _ANY.finditer(text):
        at, character = match.start(), match[0]
        if character in _JOINERS:
            if not _joins(text, at):
                yield Hidden(at, ord(character), "zero-width")
            continue
        if character == "\ufeff" and at == 0:
            continue  # a byte-order mark
        if flags and any(start < at < end for start, end in flags[:MOST]):
            continue
        yield Hidden(at, ord(character), _kind(character))


def _kind(character: str) -> Kind:
    return next((kind for kind, pattern in _KINDS if pattern.match(character)), "zero-width")


def _joins(text: str, at: int) -> bool:
    """Whether a joiner stands where scripts and emoji need one: between signs that are not Latin."""
    before = text[at - 1] if at else ""
    after = text[at + 1] if at + 1 < len(text) else ""
    return _takes_joiner(before) and (not after or _takes_joiner(after) or not after.isalnum())


def _takes_joiner(character: str) -> bool:
    if not character or character.isascii():
        return False
    # So, Sk: emoji and skin tones; Mn, Mc, Lo: Arabic and Indic letters and signs; FE0F is Mn
    return unicodedata.category(character) in ("So", "Sk", "Mn", "Mc", "Lo")
