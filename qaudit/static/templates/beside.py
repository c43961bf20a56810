"""What a template says of its own beside a given system message, beside tools, and in turns of tools.

Runs in the analyst process only. Dates, names and formats stand there in ordinary templates; what counts is
whether the words command (`commands.py`), and whether they come with one sort of turn only.
"""

import re
from collections.abc import Iterator, Mapping

from qaudit.static.templates.commands import STRONG, commanded
from qaudit.static.templates.conversations import TOOL_ANSWERED, tool_talks
from qaudit.static.templates.facts import MOST_SHOWN, Note
from qaudit.static.templates.prose import BETWEEN_MARKERS, is_prose, markers_removed, words
from qaudit.static.templates.rendering import DATE_MARK, MARK, Renderer, Rendering

_KEY_AND_VALUE = re.compile(r"^[\w' -]{1,40}:")
_SYSTEM_TURN = re.compile(r"(?=<[^<>]{0,40}system[^<>]{0,40}>|<\|im_start\|>system)", re.IGNORECASE)
_PLACES = {
    "question": "where no system message is given",
    "system": "beside the given system message",
    "tools": "where there are tools",
}


def beside_facts(renderer: Renderer, plain: Mapping[str, Rendering]) -> list[Note]:
    """Return notes on what stands beside system messages and turns of tools.

    Raises:
        TooCostly: rendering takes more than any honest template takes.
        RanOut: it takes longer than is waited for on this machine.
    """
    notes: list[Note] = []
    if not renderer.with_tools:  # else it is how tools are explained
        notes += _after_system(plain["system-turns"])
    told = {note.text for note in notes if note.kind == "system-text"}
    for name in ("system", "question", "tools"):
        rendering = plain[name]
        if rendering.error:
            continue
        said = _said(rendering.skeleton)
        grade, sentence = commanded(said)
        # default prompts say how to behave and tools how they are called: only strong commands count
        if grade and (name == "system" or grade == STRONG) and not any(sentence in text for text in told):
            told.add(sentence)
            grade = min(grade, 2) if name == "question" else grade
            notes.append(Note("commands", _line(rendering, sentence), sentence, _PLACES[name], grade))
    notes += _tool_turns(renderer, plain, told)
    return notes


def _said(skeleton: str) -> str:
    """Return the template's own words, a line for each stretch between messages and markers."""
    return markers_removed(MARK.sub("\n", skeleton).replace(DATE_MARK, " "))


def _tool_turns(renderer: Renderer, plain: Mapping[str, Rendering], told: set[str]) -> Iterator[Note]:
    """Yield commands that stand in conversations with a tool's result and in none without."""
    known: set[str] = set()
    for rendering in plain.values():
        known.update(line.strip() for line in _said(rendering.skeleton).splitlines())
    for ways in tool_talks():
        seen = next((seen for way in ways if not (seen := renderer.render(way)).error), None)
        if seen is None:
            continue
        lines = [line for line in _said(seen.skeleton).splitlines() if line.strip() not in known]
        grade, sentence = commanded("\n".join(lines))
        if grade and sentence not in told:
            told.add(sentence)
            yield Note("commands", _line(seen, sentence), sentence, TOOL_ANSWERED, grade)
        for line in lines:
            if not grade and is_prose(line, 2) and line.strip() not in told:
                told.add(line.strip())
                yield Note("tool-text", _line(seen, line), line.strip()[:MOST_SHOWN], TOOL_ANSWERED)


def _line(rendering: Rendering, sentence: str) -> int:
    """Return the line that wrote the first words of a sentence, 0 where it is not found."""
    wanted = set(words(sentence)[:4])
    return next((line for line, text in rendering.pieces if wanted and wanted <= set(words(text))), 0)


def _after_system(rendering: Rendering) -> Iterator[Note]:
    """Yield sentences that the template puts into the system turn after what is said there, or before it."""
    if rendering.error or "⟦system⟧" not in rendering.skeleton:
        return
    head, rest = rendering.skeleton.split("⟦system⟧", 1)
    within = MARK.split(rest)[0]
    # up to the first marker the words belong to the system message
    first = BETWEEN_MARKERS.split(within)[0]
    for line in first.splitlines():
        if is_prose(line) and not _KEY_AND_VALUE.match(line.strip()):
            why = "after the given system message, as part of it"
            yield Note("system-text", _line(rendering, line), line.strip()[:MOST_SHOWN], why, 2)
    if re.search(r"\bsystem\b", head.rpartition("\n")[0] or head, re.IGNORECASE):
        turns = _SYSTEM_TURN.split(head)
        # a system turn of its own before the given one
        for turn in turns[1:-1]:
            said = [line for line in markers_removed(turn).splitlines() if is_prose(line)]
            if said:
                why = "in a system turn of its own, before the given one"
                yield Note("system-turn", 0, " ".join(said)[:MOST_SHOWN], why, 1)
