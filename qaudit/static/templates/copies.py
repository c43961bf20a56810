"""One template in several places of a download: engines take different ones of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.static.model_parts import TemplateText
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.templates.facts import TemplateFacts

BOOK: RuleBook["Copies"] = RuleBook("template", "copies of a chat template in one download")
MOST_COMPARED = 64 << 10  # characters; a comparison takes time with the square of it


@dataclass(frozen=True, slots=True)
class Copies:
    """All templates of a model with their facts, in one order."""

    templates: tuple[TemplateText, ...]
    facts: tuple[TemplateFacts, ...]


@BOOK.rule(
    "disagree", "medium",
    title="two copies of one template differ",
    why="The one that was reviewed is not the one that another engine uses.",
    remedy="find out which is the original's and take the other out",
)  # fmt: skip
def disagree(copies: Copies) -> Iterator[Hit]:
    """Templates of one name that do not render conversations alike."""
    first: dict[tuple[str, str], tuple[TemplateText, TemplateFacts]] = {}
    for template, facts in zip(copies.templates, copies.facts, strict=True):
        known = first.setdefault((template.name, template.dialect), (template, facts))
        if known[0].text.strip() == template.text.strip():
            continue
        place = f"{known[0].location} and {template.location}"
        if shown := rendered_difference(known[1], facts):
            yield Hit(place, shown)
        elif facts.skeletons:
            yield Hit(place, "they are written differently and render alike", "info")
        else:
            yield Hit(place, text_difference(known[0].text, template.text))


def rendered_difference(one: TemplateFacts, other: TemplateFacts) -> str:
    """Return the first conversation that two templates render differently, and how; nothing where none is."""
    names = [name for name in one.skeletons if name in other.skeletons]
    differing = [name for name in names if one.skeletons[name] != other.skeletons[name]]
    if not differing:
        return ""
    name = differing[0]
    old, new = one.skeletons[name], other.skeletons[name]
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    start = max(0, start - 20)
    was, became = (
        old[start : len(old) - end + 20 if end else None],
        new[start : len(new) - end + 20 if end else None],
    )
    many = f"{len(differing)} of {len(names)} conversations differ"
    return f"{many}; {name}: {was[:240]!r} against {became[:240]!r}"


def text_difference(one: str, other: str) -> str:
    """Return the lines that were taken out and put in, as a diff writes them."""
    import difflib

    lines = difflib.unified_diff(
        one[:MOST_COMPARED].splitlines()[:1500],
        other[:MOST_COMPARED].splitlines()[:1500],
        "",
        "",
        n=0,
        lineterm="",
    )
    changed = [line for line in lines if line[:1] in "+-" and line not in ("--- ", "+++ ")]
    return " | ".join(line[:200] for line in changed[:12]) or "they differ in blanks"
