"""Notes on what a template writes: texts that depend on what is said, and content that is changed."""

from collections.abc import Iterator

from qaudit.static.templates.abstract_values import Edit, Guard, Text
from qaudit.static.templates.dataflow import Written
from qaudit.static.templates.facts import MOST_SHOWN, Note
from qaudit.static.templates.filters import SPLITS
from qaudit.static.templates.prose import is_prose, is_tag, words

KINDS = {
    "content": "content-branch", "length": "content-branch", "lookup": "content-lookup",
    "count": "count-branch", "date": "date-branch", "tool": "tool-branch", "chance": "chance-branch",
}  # fmt: skip
HIGH, MEDIUM, INFO = 3, 2, 1
_CASES = {"lower", "upper", "title", "capitalize", "swapcase", "casefold"}


def condition_notes(written: Written) -> Iterator[Note]:
    """Yield a note for each condition that words stand under, and for each change of content."""
    groups: dict[tuple[str, frozenset[Guard]], list[Text]] = {}
    for text in written.texts:
        kinds = {KINDS[guard.kind] for guard in text.guards}
        if kinds and text.text.strip():
            groups.setdefault((min(kinds), text.guards), []).append(text)
    for (kind, guards), texts in groups.items():
        said = " ".join(dict.fromkeys(text.text for text in texts))
        if grade := grade_of(said, guards):
            why = "; ".join(guard.told() for guard in sorted(guards, key=lambda g: (g.kind, g.told()))[:4])
            yield Note(
                kind, min(text.line for text in texts), " ".join(said.split())[:MOST_SHOWN], why, grade
            )
    for edit in written.edits:
        if grade := _grade_of_edit(edit):
            shown = ", ".join(repr(c)[:60] for c in edit.constants)
            whose = "/".join(sorted(edit.roles))
            yield Note(
                "content-rewritten", edit.line, f"{edit.how}({shown}) on content of {whose}", grade=grade
            )


def grade_of(said: str, guards: frozenset[Guard]) -> int:
    """Return how grave it is that a text depends on these conditions; 0 for not at all."""
    constants = [c for guard in guards for c in guard.constants if guard.kind in ("content", "lookup")]
    others = any(guard.kind not in ("content", "lookup") for guard in guards)
    # thinking tags and the like: looking for them is what many templates do
    tags = bool(constants) and not others and all(map(is_tag, constants))
    system = not others and all(guard.roles == {"system"} for guard in guards)
    if is_prose(said, 2 if tags else 1):
        # a switch that the one who deploys the model writes into its own system message
        return (INFO if tags else MEDIUM) if system else HIGH
    one_word = [word for word in words(said) if len(word) > 3]
    return MEDIUM if one_word and not tags and not system else 0


def _grade_of_edit(edit: Edit) -> int:
    worst = HIGH if edit.roles & {"user", "system"} else MEDIUM if "assistant" in edit.roles else 0
    if edit.how in SPLITS:
        # to cut at tags or at blanks is to look for a part that was marked
        return 0 if all(is_tag(c) or not c.strip() for c in edit.constants) else worst
    if edit.how in ("replace", "removeprefix", "removesuffix", "translate", "select", "reject"):
        return worst if any(words(c) for c in edit.constants) else 0
    return min(worst, MEDIUM) if edit.how in _CASES else worst
