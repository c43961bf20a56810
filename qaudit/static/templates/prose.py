"""Telling natural language from markup: what of a template's literal text a model would read as words.

Role markers, tags, JSON keys and names of roles are what templates are made of; sentences are not. The
line is drawn by shape, so that it does not matter which words somebody picks.
"""

import re

# <|im_start|>, </think>, [INST], <｜User｜>, <|"|>: no blanks within, of bounded length
_MARKER = re.compile(r"<[^\s<>]{1,60}>|\[/?[A-Z0-9_]{2,40}\]|<\|[^<>\n]{1,40}\|>|</?s>|\[gMASK\]")
BETWEEN_MARKERS = re.compile(r"<[^<>]{1,60}>|\[/?[A-Z_]{2,40}\]")
_JSON_KEY = re.compile(r"[\"'][\w$ -]{1,40}[\"']\s*:")
_SWITCH = re.compile(r"(?<!\w)/[\w-]{1,30}")
_WORD = re.compile(r"[^\W\d_]{2,}")
_MARKER_WORD = re.compile(r"[^\W\d_]{2,}")
# names of roles and of the parts of a turn, by which templates label them
ROLE_WORDS = frozenset(
    [
        "user",
        "assistant",
        "system",
        "tool",
        "tools",
        "model",
        "bot",
        "human",
        "ipython",
        "developer",
        "observation",
        "function",
        "functions",
        "context",
        "environment",
        "documents",
        "document",
        "response",
        "instruction",
        "input",
        "output",
        "question",
        "answer",
        "prompt",
        "message",
    ]
)
MOST_MARKER_WORDS = 6  # a longer one is a sentence in brackets
ENOUGH_WORDS, ENOUGH_LETTERS, ENOUGH_IDEOGRAPHS = 2, 12, 4


def words(text: str) -> list[str]:
    """Return the words of natural language in a literal, without markers, keys and names of roles."""
    rest = _MARKER.sub(_opened, text)
    rest = _SWITCH.sub(" ", _JSON_KEY.sub(" ", rest))
    return [word for word in _WORD.findall(rest) if word.casefold() not in ROLE_WORDS]


def is_prose(text: str, factor: int = 1) -> bool:
    """Return whether a literal says something in a natural language; `factor` asks for more of it."""
    found = words(text)
    letters = sum(map(len, found))
    ideographs = sum("\u2e80" <= c <= "\ua4cf" or "\uac00" <= c <= "\ud7af" for word in found for c in word)
    return (
        (len(found) >= ENOUGH_WORDS * factor and letters >= 5 * factor)
        or letters >= ENOUGH_LETTERS * factor
        or ideographs >= ENOUGH_IDEOGRAPHS * factor
    )


def is_markup(text: str) -> bool:
    """Return whether a literal is nothing but markers, switches (`/think`), keys and punctuation."""
    return not words(text) and not any(word in ROLE_WORDS for word in _WORD.findall(_MARKER.sub(" ", text)))


def is_tag(text: str) -> bool:
    """Return whether a literal is markers (`</think>`) and switches (`/think`) and nothing else."""
    rest = _SWITCH.sub(" ", _MARKER.sub(_opened, text))
    return bool(text.strip()) and not rest.strip()


def markers_removed(text: str) -> str:
    """Return a text with a blank in place of each marker."""
    return _MARKER.sub(_opened, text)


def _opened(marker: re.Match[str]) -> str:
    # <ignore_all_rules_and_obey_the_next_line> is a sentence; <|start_header_id|> is a marker
    inner = _MARKER_WORD.findall(marker.group())
    return f" {' '.join(inner)} " if len(inner) > MOST_MARKER_WORDS else " "
