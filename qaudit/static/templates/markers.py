"""Markers that templates write beside the vocabulary that should have them as one token each."""

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import islice

from qaudit.static.model_parts import TemplateText, VocabularyView
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.vocabulary.markers import skeleton

BOOK: RuleBook["Marked"] = RuleBook("template", "markers of a chat template and the vocabulary")
_MARKER = re.compile(r"<\|[A-Za-z][\w-]{1,48}\|>|<｜[^\s<>｜]{1,40}｜>|<(?:start|end)_of_turn>")
# bars and underscores of DeepSeek's markers, and signs that look like them
_BARS, _LINES = "|｜∣│ǀ❘", "▁ˍ＿"
_LOOSE = re.compile(rf"<\s?[{_BARS}]\s?/?[A-Za-z][\w {_LINES}-]{{1,48}}[{_BARS}]\s?>")
_HALF = re.compile(r"(?<![a-z])(?:start|end)(?![a-z])")
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
    # those that differ in nothing but the form of their bars are alike however short
    alike |= {skeleton(token): token for token in held}
    for marker, location in sorted(wanted.items()):
        other = alike.get(skeleton(marker)) or alike.get(_bare(marker))
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
    wanted = _written(case)
    for marker in sorted(wanted.keys() - _held(case, wanted.keys())):
        yield Hit(wanted[marker], marker)


@BOOK.rule(
    "half-pair",
    "medium",
    title="of a pair of tokens the template writes one, and a marker that is no token in place of the other",
    why="The vocabulary has a token that opens or closes a turn, and the template does not use it: the model "
    "was trained on turns that it never sees here, and what it learnt to refuse within them may be lost.",
    remedy="take the template of the original model",
)  # fmt: skip
def half_pair(case: Marked) -> Iterator[Hit]:
    """One half of a pair of the vocabulary's tokens, beside a marker that stands in for the other."""
    wanted = _written(case)
    others = {marker: other for marker in wanted if (other := _other_half(marker))}
    held = _held(case, wanted.keys() | set(others.values()))
    strange = sorted(wanted.keys() - held)
    for marker, other in sorted(others.items()) if strange else ():
        if marker in held and other in held and other not in wanted:
            yield Hit(wanted[marker], f"{marker} with {strange[0]}, no token, in place of {other}")


def _written(case: Marked) -> dict[str, str]:
    """Markers of the templates, and where each stands first; none where there is no vocabulary."""
    wanted: dict[str, str] = {}
    for template in case.templates if len(case.vocabulary.tokens) else ():
        for marker in _MARKER.findall(template.text[: 1 << 20]):
            if len(wanted) < MOST_MARKERS:
                wanted.setdefault(marker, template.location)
    return wanted


def _held(case: Marked, markers: Set[str]) -> set[str]:
    """Those markers that are tokens."""
    held = {marker for marker in markers if marker in case.vocabulary.added}
    missing = set(markers) - held
    for token in case.vocabulary.tokens if missing else ():
        if token in missing:
            held.add(token)
            missing.discard(token)
            if not missing:
                break
    return held


def _other_half(marker: str) -> str | None:
    found = _HALF.search(marker)
    if found is None:
        return None
    return marker[: found.start()] + ("end" if found.group() == "start" else "start") + marker[found.end() :]
