"""Conversations to render templates with: plain ones, and ones that differ from them in one thing.

What they differ in is taken from the template itself: the texts, lengths, counts, dates and tools' names
that its conditions compare with. So a branch is reached whatever words open it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from qaudit.static.templates.abstract_values import ANY_ROLE, Guard
from qaudit.static.templates.prose import is_markup

MOST_TRIGGERS, MOST_LENGTH, MOST_MESSAGES = 10, 20_000, 64
LONG_CONTENT = 6000
ArgumentForm = Literal["objects", "texts"]
TOOL_ANSWERED = "where a tool has answered"
PLAIN_TOOLS = ("fetch_weather",)
MANY_TURNS = 7
PLAIN_DAY = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
OTHER_DAYS = tuple(
    datetime(*day, tzinfo=UTC)
    for day in ((2024, 2, 29, 23), (2027, 7, 4, 3), (2031, 12, 31, 12), (2019, 10, 1, 0))
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `content`, where there is any, begins and ends with words that no template has."""

    role: str
    content: str
    calls: str = ""  # the name of a tool that the message calls

    @property
    def mark(self) -> str:
        """What stands for it in a skeleton: no content of another message, and no template, has it."""
        return f"⟦{self.role}⟧"


@dataclass(frozen=True, slots=True)
class Talk:
    """What a template is rendered with.

    Attributes:
        name: what it is, for evidence.
        plain: the name of the talk that it differs from in one thing; empty for plain ones.
        why: what it differs in.
        day: what the clock says.
        guard: the condition that it was made for.
        form: whether a call's arguments are an object or a text of JSON.
    """

    name: str
    messages: tuple[Message, ...]
    plain: str = ""
    why: str = ""
    tools: tuple[str, ...] = ()
    day: datetime = PLAIN_DAY
    generation: bool = True
    guard: Guard | None = field(default=None, compare=False)
    form: ArgumentForm = "objects"


def said(role: str, number: int, before: str = "", after: str = "") -> Message:
    """Return a message whose content can be found again, whole or in part."""
    return Message(role, f"{before}qz{role}{number}a brevik {number} ostral qz{role}{number}z{after}")


def plain_talks() -> list[Talk]:
    """Return the conversations in which there is nothing to see."""
    asked, answered, again = said("user", 1), said("assistant", 2), said("user", 3)
    system = said("system", 0)
    turns = tuple(said("user" if i % 2 else "assistant", i) for i in range(1, 2 * MANY_TURNS))
    return [
        Talk("question", (asked,)),
        Talk("system", (system, asked)),
        Talk("turns", (asked, answered, again), "question", "3 messages instead of 1"),
        Talk("system-turns", (system, asked, answered, again), "system", "4 messages instead of 2"),
        Talk("closed", (asked, answered), "question", "an answer", generation=False),
        Talk("tools", (asked,), tools=PLAIN_TOOLS),
        Talk("long-talk", turns, "turns", f"{len(turns)} messages instead of 3"),
        Talk("long-system-talk", (system, *turns), "system-turns", f"{len(turns) + 1} messages instead of 4"),
    ]


def tool_talks() -> list[list[Talk]]:
    """Return conversations with a tool's result, last and not, each in the ways that templates want."""
    asked, result, final = said("user", 1), said("tool", 3), said("assistant", 4)
    calls = [Message("assistant", content, PLAIN_TOOLS[0]) for content in ("", said("assistant", 2).content)]
    forms: tuple[ArgumentForm, ...] = ("objects", "texts")
    several: list[list[Talk]] = []
    for name, rest in (("tool-result", (result,)), ("tool-turns", (result, final))):
        ways = [
            Talk(f"{name} {form}", (asked, call, *rest), "tools", TOOL_ANSWERED, PLAIN_TOOLS, form=form)
            for call in calls
            for form in forms
        ]
        # some know no calls, and some no result without one
        several.append([*ways, Talk(f"{name} bare", (asked, *rest), "tools", TOOL_ANSWERED, PLAIN_TOOLS)])
    return several


def varied_talks(guards: Iterable[Guard], *, system: bool) -> Iterator[Talk]:
    """Yield conversations that differ from a plain one in what conditions ask for.

    Args:
        guards: of the template's conditions.
        system: whether the template takes a system message.
    """
    guards = list(guards)
    base = "system-turns" if system else "turns"
    messages = next(talk.messages for talk in plain_talks() if talk.name == base)
    last = messages[-1]
    long = replace(last, content=last.content.replace(" ostral ", f" {'ostral ' * (LONG_CONTENT // 7)}"))
    yield Talk("long-content", (*messages[:-1], long), base, f"a question of {len(long.content)} characters")
    for number, day in enumerate(OTHER_DAYS):
        yield Talk(f"day-{number}", messages, base, f"on {day:%Y-%m-%d}", day=day)
    yield from _by_content(guards, base, messages)
    yield from _by_number(guards, base, messages)
    yield from _by_date(guards, base, messages)
    for name in _constants(guards, "tool"):
        yield Talk(f"tool {name}", (said("user", 1),), "tools", f"a tool called {name!r}", tools=(name,))
    yield from _all_at_once(guards, base, messages)


def _by_content(guards: Sequence[Guard], base: str, messages: Sequence[Message]) -> Iterator[Talk]:
    for guard in _distinct(guards, "content"):
        (constant,) = guard.constants
        for role in ("user", "system", "assistant"):
            places = [i for i, message in enumerate(messages) if message.role == role]
            if role not in guard.roles or not places:
                continue
            forms = {"holds": said(role, 8, f"brevik {constant} "), "is": Message(role, constant)}
            if role == "user":
                forms["begins with"] = said(role, 8, f"{constant} ")
                forms["ends with"] = said(role, 8, after=f" {constant}")
            for how, message in forms.items():
                at = places[-1]
                yield Talk(
                    f"{role} {how} {constant}",
                    (*messages[:at], message, *messages[at + 1 :]),
                    base,
                    f"a {role} message that {how} {constant[:80]!r}",
                    guard=guard,
                )


def _by_number(guards: Sequence[Guard], base: str, messages: Sequence[Message]) -> Iterator[Talk]:
    for number in _numbers(guards, "length", MOST_LENGTH):
        for length in (number - 1, number, number + 1):
            last = replace(messages[-1], content="qzuser3a " + "b" * max(1, length - 18) + " qzuser3z")
            yield Talk(f"length {length}", (*messages[:-1], last), base, f"a question of {length} characters")
    for number in _numbers(guards, "count", MOST_MESSAGES):
        for count in range(max(1, number - 1), number + 3):
            turns = tuple(said("user" if i % 2 else "assistant", i) for i in range(1, count + 1))
            yield Talk(f"count {count}", turns, "turns", f"{count} messages")


def _by_date(guards: Sequence[Guard], base: str, messages: Sequence[Message]) -> Iterator[Talk]:
    for constant in _constants(guards, "date"):
        for number, day in enumerate(_days(constant)):
            yield Talk(f"date {constant} {number}", tuple(messages), base, f"on {day:%Y-%m-%d}", day=day)


def _all_at_once(guards: Sequence[Guard], base: str, messages: Sequence[Message]) -> Iterator[Talk]:
    """Yield one long talk that meets many conditions together, for branches behind two of them."""
    triggers = " ".join(constant for guard in _distinct(guards, "content") for constant in guard.constants)
    turns = [said("user" if i % 2 else "assistant", i) for i in range(1, 2 * MANY_TURNS - 1)]
    numbers = _numbers(guards, "length", MOST_LENGTH)
    filler = f" {'ostral ' * (max(numbers, default=0) // 7 + 1)}"
    days = [day for constant in _constants(guards, "date") for day in _days(constant)][:4] or [PLAIN_DAY]
    if triggers and (numbers or any(guard.kind in ("count", "date", "tool") for guard in guards)):
        tools = tuple(_constants(guards, "tool"))[:4]
        for day in days:
            final = said("user", 2 * MANY_TURNS - 1, f"{triggers} ", filler)
            why = "a long talk that meets several conditions"
            yield Talk(f"all {day:%Y-%m-%d}", (*turns, final), "long-talk", why, tools, day)


def _distinct(guards: Iterable[Guard], kind: str) -> list[Guard]:
    """Return one guard for each constant; those in words come first."""
    found: dict[str, Guard] = {}
    for guard in guards:
        for constant in (
            guard.constants if guard.kind in ((kind, "lookup") if kind == "content" else (kind,)) else ()
        ):
            roles = guard.roles | (found[constant].roles if constant in found else frozenset())
            if 0 < len(constant) <= 400:
                found[constant] = replace(guard, roles=roles & ANY_ROLE, constants=frozenset({constant}))
    return [found[c] for c in sorted(found, key=lambda c: (is_markup(c), len(c), c))][:MOST_TRIGGERS]


def _constants(guards: Iterable[Guard], kind: str) -> list[str]:
    return [constant for guard in _distinct(guards, kind) for constant in guard.constants]


def _numbers(guards: Iterable[Guard], kind: str, most: int) -> list[int]:
    found = {abs(int(c)) for c in _constants(guards, kind) if c.removeprefix("-").isdecimal() and len(c) < 7}
    return sorted(number for number in found if number <= most)[:4]


def _days(constant: str) -> list[datetime]:
    """Return days on both sides of a date, year, month or day that is written in some way."""
    days: list[datetime] = []
    for form in (
        "%Y-%m-%d",
        "%Y%m%d",
        "%d %b %Y",
        "%Y/%m/%d",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%B %d, %Y",
        "%d %B %Y",
        "%Y-%m",
    ):
        try:
            day = datetime.strptime(constant.strip()[:40], form).replace(tzinfo=UTC)
        except ValueError:
            continue
        days += [day, day.replace(year=min(day.year + 1, 9999))]
        break
    if not days and constant.isdecimal() and len(constant) <= 4:
        number = int(constant)
        if 1900 < number < 2200:
            days += [datetime(number, 6, 15, tzinfo=UTC), datetime(number + 1, 6, 15, tzinfo=UTC)]
        if 1 <= number <= 12:
            days.append(datetime(2026, number, 20, tzinfo=UTC))
        if 1 <= number <= 31:
            days.append(datetime(2026, 3, number, tzinfo=UTC))
        if number <= 23:
            days.append(datetime(2026, 1, 15, number, 30, tzinfo=UTC))
    if not days:
        names = [datetime(2026, month, day, tzinfo=UTC) for month in range(1, 13) for day in (2, 9)]
        days += [d for d in names if constant.casefold() in f"{d:%A %B %a %b}".casefold().split()][:2]
        week = [datetime(2026, 6, day, tzinfo=UTC) for day in range(1, 8)]
        days += [d for d in week if constant.casefold() in (f"{d:%A}".casefold(), f"{d:%a}".casefold())]
    return days[:4]


def tools_as_given(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return tools as OpenAI's API writes them."""
    described = {
        "type": "object",
        "properties": {"place": {"type": "string", "description": "qzplace"}},
        "required": ["place"],
    }
    return [
        {"type": "function", "function": {"name": name, "description": "qztool", "parameters": described}}
        for name in names
    ]


def calls_as_given(name: str, form: ArgumentForm) -> list[dict[str, Any]]:
    """Return one call of a tool as OpenAI's API writes it; Mistral's templates want nine characters as id."""
    arguments: object = {"place": "qzplace"} if form == "objects" else '{"place": "qzplace"}'
    return [{"id": "qzcall001", "type": "function", "function": {"name": name, "arguments": arguments}}]
