"""JSON read as far as it goes, with everything noted that two parsers may read differently.

`qaudit.strict_json` refuses such a text, as a loader should; here the point is to say what is wrong and
still see what a careless loader would see.
"""

import json
import math
import re
from dataclasses import dataclass, field

MOST_NOTED = 20
MOST_VALUES = 500_000  # of a text; small ones take thirty times their length in memory
MAX_DIGITS = 400  # of a number; longer ones cost quadratic time to read
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(slots=True)
class Document:
    """What a JSON text gave.

    Attributes:
        value: None where nothing could be read.
        duplicates: keys that one object holds twice; the last value was taken, as most parsers do.
        odd_numbers: NaN, Infinity and numbers out of range.
        problem: why a strict parser refuses it, in one line.
    """

    value: object = None
    duplicates: list[str] = field(default_factory=list)
    odd_numbers: list[str] = field(default_factory=list)
    problem: str | None = None

    def note_duplicate(self, key: str) -> None:
        """Remember a key that stands twice."""
        if len(self.duplicates) < MOST_NOTED and key not in self.duplicates:
            self.duplicates.append(key)

    def note_number(self, text: str) -> None:
        """Remember a number that not every parser takes."""
        if len(self.odd_numbers) < MOST_NOTED:
            self.odd_numbers.append(text[:40])


def read_json(raw: bytes, most: int = MOST_VALUES) -> Document:
    """Parse a text of at most `most` values; never raises."""
    document = Document()
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > most:
        document.problem = f"holds more than the {most} values that are read"
        return document
    text = decoded(raw, document)
    decoder = lenient_decoder(document)
    start = _after_space(text, 1 if text.startswith("\ufeff") else 0)
    if text.startswith("\ufeff"):
        document.problem = "begins with a byte-order mark, which JSON parsers refuse"
    try:
        document.value, end = decoder.raw_decode(text, start)
    except RecursionError:
        document.problem = "nested too deeply"
        return document
    except ValueError as error:  # JSONDecodeError, or a number of thousands of digits
        document.problem = f"not JSON: {' '.join(str(error).split())[:160]}"
        return document
    rest = _after_space(text, end)
    if rest < len(text) and document.problem is None:
        document.problem = f"{len(text) - rest} characters after the end of the document"
    return document


def decoded(raw: bytes, document: Document) -> str:
    """Return the text; bytes that are not UTF-8 are noted and replaced."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        document.problem = f"not UTF-8 at byte {error.start}"
        return raw.decode("utf-8", errors="replace")


def lenient_decoder(document: Document) -> json.JSONDecoder:
    """Return a decoder that notes what is odd in `document` and goes on."""

    def paired(pairs: list[tuple[str, object]]) -> dict[str, object]:
        values = dict(pairs)
        if len(values) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    document.note_duplicate(key)
                seen.add(key)
        return values

    def constant(name: str) -> float:
        document.note_number(name)
        return float(name.replace("Infinity", "inf"))

    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            document.note_number(text)
        return value

    def whole(text: str) -> int | float:
        if len(text) <= MAX_DIGITS:
            return int(text)
        document.note_number(text)
        return math.inf

    return json.JSONDecoder(
        object_pairs_hook=paired, parse_constant=constant, parse_float=number, parse_int=whole
    )


def _after_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found else start
