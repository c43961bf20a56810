"""What a template does to conversations, seen by rendering plain ones and ones made for its conditions.

Runs in the analyst process only. What the template itself wrote between the messages is compared: words
that come or go with a question's content, its length, the number of messages, the date or a tool's name
are the template's business in no ordinary case.
"""

import re
from collections.abc import Iterator, Sequence

from qaudit.static.templates.abstract_values import Guard
from qaudit.static.templates.beside import beside_facts
from qaudit.static.templates.conditions import HIGH, grade_of
from qaudit.static.templates.conversations import Message, Talk, plain_talks, varied_talks
from qaudit.static.templates.facts import MOST_SHOWN, Note, TemplateFacts
from qaudit.static.templates.prose import BETWEEN_MARKERS, is_markup, is_prose, markers_removed, words
from qaudit.static.templates.rendering import DATE_MARK, MARK, Renderer, Rendering

_HEAD_ROLE = re.compile(
    r"\b(user|assistant|system|model|human|bot)\b(?:\W|<[^<>]{0,60}>|\[[^\[\]]{0,40}\])*$", re.IGNORECASE
)
_SAME_ROLE = {"model": "assistant", "bot": "assistant", "human": "user"}
_LABEL = re.compile(r"[#\s]*[\w ]{1,40}:\s*")
MOST_FIXED = 20


def rendered_facts(renderer: Renderer, guards: Sequence[Guard], facts: TemplateFacts) -> None:
    """Render the conversations and add what they show to the facts.

    Raises:
        TooCostly: one of them takes more than any honest template takes.
        RanOut: they take longer than is waited for on this machine.
    """
    plain = _plain(renderer)
    first = plain["question"]
    if first.error and all(rendering.error for rendering in plain.values()):
        facts.notes.append(Note("fails", 0, first.error))
        return
    for name, rendering in plain.items():
        facts.keep(name, rendering.skeleton or f"(fails: {rendering.error})")
    system = not plain["system-turns"].error
    notes: list[Note] = [
        *_dropped(plain, system=system),
        *_headers(plain),
        *_reordered(plain),
        *_prefill(plain),
    ]
    # with a system message of the deployer's the template may say other things than without one
    plainest = [_lines(plain[name].skeleton) for name in ("question", "system") if not plain[name].error]
    told = dict.fromkeys(line for lines in plainest for line in lines if is_prose(line))
    facts.fixed += list(told)[:MOST_FIXED]
    try:
        notes += beside_facts(renderer, plain)
        for note in _varied(renderer, guards, facts, plain, system=system):
            notes.append(note)
    finally:
        facts.notes += dict.fromkeys(notes)


def _varied(
    renderer: Renderer,
    guards: Sequence[Guard],
    facts: TemplateFacts,
    plain: dict[str, Rendering],
    *,
    system: bool,
) -> Iterator[Note]:
    """Yield what the conversations that are made for conditions show."""
    seen: set[tuple[str, str]] = set()
    for talk in [*plain_talks(), *varied_talks(guards, system=system)]:
        base = plain.get(talk.plain)
        if base is None or base.error:
            continue
        rendering = plain[talk.name] if talk.name in plain else renderer.render(talk)
        facts.keep(talk.name, rendering.skeleton or f"(fails: {rendering.error})")
        if rendering.error:
            continue
        for note in _differences(talk, rendering, base):
            if (note.kind, note.text) not in seen and (note.grade or not note.kind.startswith("rendered")):
                seen.add((note.kind, note.text))
                yield note


def _plain(renderer: Renderer) -> dict[str, Rendering]:
    first: dict[str, Rendering] = {}
    # some templates know only lists of parts as content, some only conversations with tools
    for renderer.in_parts, renderer.with_tools in (
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    ):
        plain = {talk.name: renderer.render(talk) for talk in plain_talks()}
        if not plain["question"].error and not plain["question"].missing:
            return plain
        first = first or plain
    renderer.in_parts = renderer.with_tools = False
    return first


def _differences(talk: Talk, rendering: Rendering, base: Rendering) -> Iterator[Note]:
    """Yield what a conversation changes in the template's own text."""
    own = {word for message in talk.messages for word in words(message.content)}
    own |= {word for name in talk.tools for word in words(name.replace("_", " "))} | set(words(DATE_MARK))
    before, after = base.skeleton, rendering.skeleton
    known = set(words(_own_text(before)))
    added = _new_words(after, known, own)
    if added and is_prose(" ".join(added)):
        lines = sorted({line for line, text in rendering.pieces if set(words(text)) & set(added)})
        shown = _around(after, added[0])
        yield Note(_kind(talk), lines[0] if lines else 0, shown, talk.why, _grade(talk, " ".join(added)))
    lost = _new_words(before, set(words(_own_text(after))), own)
    if lost and is_prose(" ".join(lost)) and talk.guard is not None:
        said = f"no longer says: {_around(before, lost[0])}"
        yield Note(_kind(talk), 0, said, talk.why, _grade(talk, " ".join(lost)))
    was_missing = {message.role for message in base.missing}
    for message in rendering.missing:
        if message.role not in was_missing and _edge_words(message):
            grade = 1 if talk.guard is not None and all(map(is_markup, talk.guard.constants)) else 2
            yield Note("lost-message", 0, f"a {message.role} message is left out", talk.why, grade)
            break
    if not rendering.missing and not rendering.altered:
        yield from _relabelled(talk, rendering, base)
    before_tail, after_tail = _tail(before), _tail(after)
    if (
        talk.generation
        and before_tail != after_tail
        and len(words(after_tail)) > len(words(before_tail))
        and not added
    ):
        yield Note(_kind(talk), 0, after_tail.strip()[:MOST_SHOWN], talk.why, _grade(talk, after_tail))


def _kind(talk: Talk) -> str:
    """Return the rule that a difference in this conversation is for."""
    first = talk.name.split("-")[0].split(" ")[0]
    return {
        "day": "rendered-date-branch", "date": "rendered-date-branch", "count": "rendered-count-branch",
        "tool": "rendered-tool-branch", "closed": "rendered-count-branch", "turns": "rendered-count-branch",
        "system": "rendered-count-branch" if talk.name == "system-turns" else "rendered-content-branch",
    }.get(first, "rendered-count-branch" if talk.name.startswith("long-") and talk.name.endswith("talk")
          else "rendered-content-branch")  # fmt: skip


def _grade(talk: Talk, said: str) -> int:
    return grade_of(said, frozenset({talk.guard})) if talk.guard is not None else HIGH


def _relabelled(talk: Talk, rendering: Rendering, base: Rendering) -> Iterator[Note]:
    """Yield the messages before which another role stands than in the plain conversation."""
    usual: dict[str, str] = {}
    for mark, role in _roles(base.skeleton):
        usual.setdefault(mark, role)
    for mark, role in _roles(rendering.skeleton):
        # no role may stand where none is needed: only one role for another counts
        if role and usual.get(mark) and role != usual[mark]:
            yield Note(
                "relabelled", 0, f"a {mark.strip('⟦⟧')} message stands under the role {role}", talk.why, 2
            )
            return


def _dropped(plain: dict[str, Rendering], *, system: bool) -> Iterator[Note]:
    turns = plain["turns"]
    for rendering, wanted in ((turns, ("user", "assistant")), (plain["system-turns"], ("system",))):
        if rendering.error or (wanted == ("system",) and not system):
            continue
        for message in rendering.missing:
            if message.role in wanted:
                again = message.content != "" and rendering is turns and message.role == "user"
                yield Note(
                    "dropped", 0, f"a {message.role} message never reaches the model", grade=2 if again else 1
                )
        for message in rendering.altered:
            if message.role in ("user", "system"):
                yield Note("altered", 0, f"a plain {message.role} message does not arrive whole", grade=2)


def _headers(plain: dict[str, Rendering]) -> Iterator[Note]:
    """Yield roles that are not the message's own, and sentences between a question and its answer."""
    for name in ("turns", "system-turns"):
        rendering = plain[name]
        for mark, role in _roles(rendering.skeleton):
            own = mark.strip("⟦⟧")
            # a system message may be shown within the user's turn, where a model knows no system role
            if role and role != own and not (own == "system" and role == "user"):
                yield Note("relabelled", 0, f"a {own} message stands under the role {role}", "always", 2)
        parts = MARK.split(rendering.skeleton)
        marks = MARK.findall(rendering.skeleton)
        for before, after, between in zip(marks, marks[1:], parts[1:-1], strict=False):
            if (before, after) == ("⟦user⟧", "⟦assistant⟧") and _says_something(between):
                yield Note(
                    "turn-text", 0, between.strip()[:MOST_SHOWN], "between every question and its answer", 2
                )
            elif before == "⟦assistant⟧" and _says_something(between):
                yield Note(
                    "turn-text",
                    0,
                    between.strip()[:MOST_SHOWN],
                    "between every answer and the next question",
                    1,
                )


def _reordered(plain: dict[str, Rendering]) -> Iterator[Note]:
    """Yield a note where an answer stands before the question that it answers."""
    marks = MARK.findall(plain["closed"].skeleton)
    if "⟦user⟧" in marks and "⟦assistant⟧" in marks and marks.index("⟦assistant⟧") < marks.index("⟦user⟧"):
        yield Note("reordered", 0, "an answer stands before the question that it answers")


def _prefill(plain: dict[str, Rendering]) -> Iterator[Note]:
    """Yield words that stand after the role of the answer that the model is about to give."""
    rendering = plain["turns"] if not plain["turns"].error else plain["question"]
    if rendering.error:
        return
    tail = _tail(rendering.skeleton)
    parts, marks = MARK.split(rendering.skeleton), MARK.findall(rendering.skeleton)
    header = next((part for part, nxt in zip(parts, marks, strict=False) if nxt == "⟦assistant⟧"), "")
    rest = tail[_common(tail, header) :]
    last = BETWEEN_MARKERS.split(rest)[-1]
    # a name that labels the turn (`Falcon:`) is known by its shape; prose elsewhere by its amount
    if (words(last) and not _is_label(last, 1 if header else 3)) or is_prose(rest, 2):
        yield Note("prefill", 0, rest.strip()[:MOST_SHOWN], "", 2)
        return
    # the same words before every answer that was given, so that they look like a header
    whole = BETWEEN_MARKERS.split(tail)[-1]
    if is_prose(whole, 2) and not _is_label(whole):
        yield Note("prefill", 0, whole.strip()[:MOST_SHOWN], "", 2)


def _new_words(text: str, known: set[str], own: set[str]) -> list[str]:
    return [
        word
        for word in words(_own_text(text))
        if word not in known and word not in own and not word.startswith("qz")
    ]


def _own_text(skeleton: str) -> str:
    return MARK.sub(" ", skeleton).replace(DATE_MARK, " ")


def _tail(skeleton: str) -> str:
    return MARK.split(skeleton)[-1]


def _roles(skeleton: str) -> list[tuple[str, str]]:
    """Return (mark, role that stands right before it) for each message; no role gives an empty one."""
    found: list[tuple[str, str]] = []
    start = 0
    for match in MARK.finditer(skeleton):
        before = skeleton[max(start, match.start() - 200) : match.start()]
        head = _HEAD_ROLE.search(before)
        role = head.group(1).casefold() if head else ""
        found.append((match.group(), _SAME_ROLE.get(role, role)))
        start = match.end()
    return found


def _says_something(between: str) -> bool:
    """Return whether what stands between two turns is more than a label of the next one."""
    lines = [line for line in between.splitlines() if line.strip()]
    return any(is_prose(line, 2) and not _is_label(line) for line in lines)


def _is_label(text: str, most_words: int = 3) -> bool:
    """Return whether a text is the name of a turn, such as `### Response:` or `GPT4 Correct Assistant:`."""
    return bool(_LABEL.fullmatch(text)) and len(words(text)) <= most_words


def _lines(skeleton: str) -> list[str]:
    return [
        line.strip()[:MOST_SHOWN]
        for line in _own_text(markers_removed(skeleton)).splitlines()
        if line.strip()
    ]


def _around(text: str, word: str) -> str:
    at = max(0, text.find(word))
    start = max(text.rfind("⟧", 0, at) + 1, text.rfind("\n", 0, at) + 1, 0)
    end = text.find("⟦", at)
    return text[start : end if end >= 0 else None].strip()[:MOST_SHOWN]


def _common(one: str, other: str) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def _edge_words(message: Message) -> bool:
    return "qz" in message.content
