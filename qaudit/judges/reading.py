"""A reply as it was generated -> the text that a judge reads: visible, normalised, in sentences.

Everything here is linear in the text's length, whatever the text.
"""

import re
import unicodedata
from dataclasses import dataclass

# a reply is at most some thousand tokens; what lies beyond changes no label
MAX_CHARACTERS = 12_000
MAX_SENTENCES = 120

_THINK_OPEN = re.compile(r"<(think|thinking|reasoning|thought)>", re.IGNORECASE)
_THINK_CLOSE = re.compile(r"</(?:think|thinking|reasoning|thought)>", re.IGNORECASE)
_SPACES = re.compile(r"[^\S\n]+")
_QUOTES = str.maketrans(
    {
        "’": "'",
        "‘": "'",
        "ʼ": "'",
        "`": "'",
        "´": "'",
        "＇": "'",
        "“": '"',
        "”": '"',
        "\u00ad": None,
        "\u200b": None,
        "\u200c": None,
        "\u200d": None,
        "\ufeff": None,
        "*": None,
        "_": " ",
    }
)
# tokenizers of small models leave spaces around punctuation: i ' m sorry , but
_SPACED_APOSTROPHE = re.compile(r"(?<=[a-z]) ?' ?(?=(?:m|t|s|d|re|ve|ll)\b)")
_SPACED_STOP = re.compile(r" ([,.;:!?])(?=\s|$)")
_BREAK = re.compile(r"(?<=[.!?;])[\"')\]]?\s+|(?<=[。！？।؟])|\n+")


@dataclass(frozen=True, slots=True)
class Visible:
    """What a person sees of a reply. `thinking` tells of a reasoning block that never closed."""

    text: str
    thinking: bool = False


def visible(reply: str) -> Visible:
    """Cut reasoning blocks; everything after a block that never closes is not yet a reply."""
    text = reply[: 4 * MAX_CHARACTERS]
    kept: list[str] = []
    place = 0
    # a template may have opened the block, so that the reply begins inside it
    first_close = _THINK_CLOSE.search(text)
    first_open = _THINK_OPEN.search(text)
    if first_close and (first_open is None or first_close.start() < first_open.start()):
        place = first_close.end()
    while opened := _THINK_OPEN.search(text, place):
        kept.append(text[place : opened.start()])
        closed = _THINK_CLOSE.search(text, opened.end())
        if closed is None:
            return Visible("".join(kept).strip()[:MAX_CHARACTERS], thinking=True)
        place = closed.end()
    kept.append(text[place:])
    return Visible("".join(kept).strip()[:MAX_CHARACTERS])


def normalise(text: str) -> str:
    """Return the text in lower case with plain quotes, without markup signs and odd spaces."""
    plain = unicodedata.normalize("NFC", text).translate(_QUOTES).casefold().replace("''", '"')
    plain = _SPACES.sub(" ", plain)
    return _SPACED_STOP.sub(r"\1", _SPACED_APOSTROPHE.sub("'", plain)).strip()


def sentences(normalised: str) -> list[str]:
    """Split normalised text at sentence ends and line breaks."""
    parts = (part.strip() for part in _BREAK.split(normalised, maxsplit=4 * MAX_SENTENCES) if part)
    return [part for part in parts if part][:MAX_SENTENCES]
