"""Markers that templates write beside the vocabulary that should have them as one token each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from qaudit.static.model_parts import TemplateText, VocabularyView
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook["Marked"] = RuleBook("template", "markers of a chat template and the vocabulary")
_MARKER = re.compile(r"<\|[A-Za-z][\w-]{1,48}\|>|<｜[^\s<>｜]{1,40}｜>|<(?:start|end)_of_turn>")
_LOOSE = re.compile(r"<\s?[|｜]\s?/?[A-Za-z][\w -]{1,48}[|｜]\s?>")
MOST_MARKERS, MOST_LOOSE = 60, 2000
LEAST_ALIKE = 5  # letters; shorter names are alike by chance


@dataclass(frozen=True, slots=True)
class Marked:
    """The templates of a model and its vocabulary."""

    templates: tuple[TemplateText, ...]
    vocabulary: VocabularyView


@BOOK.rule(
    "near-marker",
    "medium",
    title="the template writes a marker that only looks like a token",
    why="It differs from a marker of the vocabulary in case, blanks or punctuation: the model reads letters "
    "where a reviewer sees the end of a turn, and the turn does not end.",
    remedy="take the template of the original model",
)  # fmt: skip
def near_marker(case: Marked) -> Iterator[Hit]:
    """Markers that are a token but for signs that are easily overlooked."""
    wanted: dict[str, str] = {}
    for template in case.templates:
        for match in islice(_LOOSE.finditer(template.text[: 1 << 20]), MOST_LOOSE):
            wanted.setdefault(match.group(), template.location)
    if not wanted:
        return
    held = {token for token in (*case.vocabulary.tokens, *case.vocabulary.added) if token and token[0] == "<"}
    alike = {bare: token for token in held if len(bare := _bare(token)) >= LEAST_ALIKE}
    for marker, location in sorted(wanted.items()):
        other = alike.get(_bare(marker))
        if other is not None and marker not in held:
            yield Hit(location, f"{ascii(marker)[1:-1]} beside the token {ascii(other)[1:-1]}")


def _bare(marker: str) -> str:
    return "".join(letter for letter in marker.casefold() if letter.isalnum())


@BOOK.rule(
    "unknown-marker",
    "info",
    title="the template writes a marker that is no token",
    why="The model sees its letters one by one, as some models were trained to: a role is a hint then.",
    remedy="see whether the original has the token",
)  # fmt: skip
def unknown_marker(case: Marked) -> Iterator[Hit]:
    """Markers of a chat that are not in the vocabulary."""
    wanted: dict[str, str] = {}
    for template in case.templates:
        for marker in _MARKER.findall(template.text[: 1 << 20]):
            if len(wanted) < MOST_MARKERS:
                wanted.setdefault(marker, template.location)
    if not wanted or not len(case.vocabulary.tokens):
        return
    missing = set(wanted) - set(case.vocabulary.added)
    for token in case.vocabulary.tokens if missing else ():
        if token in missing:
            missing.discard(token)
            if not missing:
                return
    for marker in sorted(missing):
        yield Hit(wanted[marker], marker)
