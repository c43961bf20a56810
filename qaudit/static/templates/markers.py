"""Markers that templates write beside the vocabulary that should have them as one token each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.static.model_parts import TemplateText, VocabularyView
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook["Marked"] = RuleBook("template", "markers of a chat template and the vocabulary")
_MARKER = re.compile(r"<\|[A-Za-z][\w-]{1,48}\|>|<｜[^\s<>｜]{1,40}｜>|<(?:start|end)_of_turn>")
MOST_MARKERS = 60


@dataclass(frozen=True, slots=True)
class Marked:
    """The templates of a model and its vocabulary."""

    templates: tuple[TemplateText, ...]
    vocabulary: VocabularyView


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
