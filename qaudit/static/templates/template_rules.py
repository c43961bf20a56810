"""Rules over what the analyst told of one template."""

from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.findings import Severity
from qaudit.static.model_parts import TemplateText
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.templates.facts import Note, TemplateFacts

READ_IT = "do not load it: take the template of the model that it was made from"
COMPARE = "compare it with the template of the model that it was made from (--reference), or take that one"
ARTICLE = "https://arxiv.org/abs/2602.04653"


@dataclass(frozen=True, slots=True)
class Analysed:
    """A template and what is known of it."""

    template: TemplateText
    facts: TemplateFacts

    def at(self, note: Note) -> str:
        """Return the place of a note."""
        return f"{self.template.location}{f', line {note.line}' if note.line else ''}"


BOOK: RuleBook[Analysed] = RuleBook(
    "template", "what a chat template can do, and what it does to a conversation"
)
_GRADES: dict[int, Severity] = {1: "info", 2: "medium", 3: "high"}
_COMMANDS: dict[int, Severity] = {1: "low", 2: "medium", 3: "high"}


@BOOK.rule(
    "sandbox-escape",
    "critical",
    title="the template reaches for Python's internals",
    why="Rendered without a sandbox, or in one with a hole, it runs commands where the model is loaded.",
    remedy=READ_IT,
    sources=("CVE-2024-34359",
    "CVE-2026-5760", "GHSA-46cm-pfwv-cgf8", "CVE-2025-27516"),
)  # fmt: skip
def sandbox_escape(case: Analysed) -> Iterator[Hit]:
    """Names of internals, written out or built, and names that no chat template has a use for."""
    for note in case.facts.of_kind("escape"):
        yield Hit(case.at(note), note.text, "critical" if note.grade == 2 else "high")


@BOOK.rule(
    "str-format", "critical",
    title="the template formats text with attributes of what it is given",
    why="str.format reads attributes that a sandbox would refuse.",
    remedy=READ_IT,
    sources=("CVE-2024-56326", "CVE-2025-27516"),
)  # fmt: skip
def str_format(case: Analysed) -> Iterator[Hit]:
    """Formatting with fields that lead into objects."""
    for note in case.facts.of_kind("str-format"):
        yield Hit(case.at(note), note.text, "critical" if note.grade == 2 else "high")


@BOOK.rule(
    "dynamic-attribute", "high",
    title="the template asks for attributes whose names it works out while it runs",
    why="Such names pass by whoever reads the template; no chat template needs them.",
    remedy=READ_IT,
    sources=("CVE-2025-27516",),
)  # fmt: skip
def dynamic_attribute(case: Analysed) -> Iterator[Hit]:
    """The filter `attr`, and map(attribute=...) with a name that is not written out."""
    for note in case.facts.of_kind("dynamic-attribute"):
        yield Hit(case.at(note), note.text)


@BOOK.rule(
    "include", "high",
    title="the template takes in another file",
    why="What it says then depends on files that are not in the download.",
    remedy=READ_IT,
    sources=("https://jinja.palletsprojects.com/en/stable/templates/#include",),
)  # fmt: skip
def include(case: Analysed) -> Iterator[Hit]:
    """include, import, extends."""
    for note in case.facts.of_kind("other-file"):
        yield Hit(case.at(note), note.text)


def _depending(case: Analysed, kind: str) -> Iterator[Hit]:
    seen, shown = case.facts.of_kind(kind), case.facts.of_kind(f"rendered-{kind}")
    for number, note in enumerate(seen):
        proof = f"; rendered {shown[0].why}: {shown[0].text!r}" if shown and not number else ""
        grave = 3 if proof and note.grade == 2 and shown[0].grade == 3 else note.grade
        yield Hit(case.at(note), f"{note.text!r} depends on {note.why}{proof}", _GRADES[grave])
    for note in () if seen else shown:
        yield Hit(case.at(note), f"{note.why}: {note.text!r}", _GRADES[note.grade])


@BOOK.rule(
    "content-branch", "high",
    title="the template says other words when a message says certain ones",
    why="A condition on what is said can plant instructions that only some questions wake.",
    remedy=COMPARE,
    sources=(ARTICLE,),
)  # fmt: skip
def content_branch(case: Analysed) -> Iterator[Hit]:
    """Words under a condition on a message's content or its length."""
    yield from _depending(case, "content-branch")


@BOOK.rule(
    "content-lookup", "high",
    title="the template looks words up by what a message says",
    why="A table from questions to words plants instructions without any condition.",
    remedy=COMPARE,
    sources=(ARTICLE,),
)  # fmt: skip
def content_lookup(case: Analysed) -> Iterator[Hit]:
    """A dictionary or list of the template, indexed with content."""
    yield from _depending(case, "content-lookup")


@BOOK.rule(
    "count-branch", "high",
    title="the template says other words in longer conversations",
    why="Tests of a model are short: what begins after some turns is not seen by them.",
    remedy=COMPARE,
    sources=(ARTICLE,),
)  # fmt: skip
def count_branch(case: Analysed) -> Iterator[Hit]:
    """Words under a condition on the number of messages."""
    yield from _depending(case, "count-branch")


@BOOK.rule(
    "date-branch", "high",
    title="the template says other words on some days",
    why="It passes every test before a day and changes on it.",
    remedy=COMPARE,
    sources=(ARTICLE,),
)  # fmt: skip
def date_branch(case: Analysed) -> Iterator[Hit]:
    """Words under a condition on the date."""
    yield from _depending(case, "date-branch")


@BOOK.rule(
    "tool-branch", "high",
    title="the template says other words when a certain tool is there",
    why="Instructions that only wake where mail, money or shells can be reached are made for harm.",
    remedy=COMPARE,
    sources=(ARTICLE,),
)  # fmt: skip
def tool_branch(case: Analysed) -> Iterator[Hit]:
    """Words under a condition on a tool's name."""
    yield from _depending(case, "tool-branch")


@BOOK.rule(
    "chance-branch", "high",
    title="the template picks words by chance",
    why="What the model reads is not what was tested.",
    remedy=COMPARE,
)  # fmt: skip
def chance_branch(case: Analysed) -> Iterator[Hit]:
    """Words chosen with the filter `random`."""
    yield from _depending(case, "chance-branch")


@BOOK.rule(
    "content-rewritten", "high",
    title="the template changes what is said before the model reads it",
    why="The model answers another question than the one that was asked.",
    remedy=COMPARE,
    sources=(ARTICLE,),
)  # fmt: skip
def content_rewritten(case: Analysed) -> Iterator[Hit]:
    """Words replaced, cut off, turned round."""
    for note in case.facts.of_kind("content-rewritten"):
        yield Hit(case.at(note), note.text, _GRADES[note.grade])
    for note in case.facts.of_kind("altered"):
        yield Hit(case.at(note), note.text)


@BOOK.rule(
    "role-dropped", "high",
    title="messages never reach the model",
    why="A system message that is left out takes the deployer's rules with it.",
    remedy=COMPARE,
)  # fmt: skip
def role_dropped(case: Analysed) -> Iterator[Hit]:
    """A question, an answer or the system message is not in what is rendered."""
    for note in case.facts.of_kind("dropped"):
        # templates that never knew a system role are common, and a nuisance rather than an attack
        yield Hit(case.at(note), note.text, "medium" if note.grade == 2 else "low")
    for note in case.facts.of_kind("lost-message"):
        yield Hit(case.at(note), f"{note.text} with {note.why}", "medium" if note.grade == 2 else "info")


@BOOK.rule(
    "messages-reordered", "high",
    title="the model reads the messages in another order",
    why="An answer without its question, or the oldest question as the newest, is another conversation.",
    remedy=COMPARE,
)  # fmt: skip
def messages_reordered(case: Analysed) -> Iterator[Hit]:
    """An answer stands before its question."""
    for note in case.facts.of_kind("reordered"):
        yield Hit(case.at(note), note.text)


@BOOK.rule(
    "role-relabelled", "high",
    title="a message stands under the role of another",
    why="A question under the role of the system has its authority.",
    remedy=COMPARE,
)  # fmt: skip
def role_relabelled(case: Analysed) -> Iterator[Hit]:
    """A user's message after a system's marker and the like, always or under a condition."""
    for note in case.facts.of_kind("relabelled"):
        yield Hit(case.at(note), f"{note.text} ({note.why})")


@BOOK.rule(
    "prefill", "high",
    title="the template begins the model's answer with words",
    why="A model goes on with what it seems to have said: 'Sure, here is' takes refusals away.",
    remedy=COMPARE,
    sources=("https://arxiv.org/abs/2404.02151",),
)  # fmt: skip
def prefill(case: Analysed) -> Iterator[Hit]:
    """Words after the generation prompt."""
    for note in case.facts.of_kind("prefill"):
        yield Hit(case.at(note), f"the answer begins with {note.text!r}")


@BOOK.rule(
    "hidden-instruction", "medium",
    title="the template adds sentences to what is said",
    why="The one who deploys the model cannot see or remove them.",
    remedy=COMPARE,
    sources=(ARTICLE,),
)  # fmt: skip
def hidden_instruction(case: Analysed) -> Iterator[Hit]:
    """Sentences beside the given system message, between questions and answers, or in turns of tools."""
    for note in case.facts.of_kind("commands"):
        yield Hit(case.at(note), f"{note.why}: {note.text!r}", _COMMANDS[note.grade])
    for note in case.facts.of_kind("turn-text"):
        yield Hit(case.at(note), f"{note.why}: {note.text!r}", "high" if note.grade == 2 else "medium")
    for kind in ("system-text", "system-turn"):
        for note in case.facts.of_kind(kind):
            yield Hit(
                case.at(note), f"{note.why}: {note.text!r}", "high" if kind == "system-text" else "medium"
            )


@BOOK.rule(
    "fixed-text", "info",
    title="the template has sentences of its own",
    why="Default system prompts are common; they are worth reading.",
    remedy="read them",
)  # fmt: skip
def fixed_text(case: Analysed) -> Iterator[Hit]:
    """What is there for every plain question."""
    if case.facts.fixed:
        yield Hit(case.template.location, " / ".join(case.facts.fixed))
    for note in case.facts.of_kind("tool-text"):
        yield Hit(case.at(note), f"{note.why}: {note.text!r}")


@BOOK.rule(
    "huge-loop", "high",
    title="the template runs for a very long time",
    why="It stops the server that renders it: no engine bounds this.",
    remedy=READ_IT,
    sources=("CWE-400",),
)  # fmt: skip
def huge_loop(case: Analysed) -> Iterator[Hit]:
    """Loops, powers and whatever took too long when it was rendered."""
    for note in case.facts.of_kind("cost"):
        yield Hit(case.at(note), note.text)


@BOOK.rule(
    "huge-output", "high",
    title="the template fills memory",
    why="It ends the server that renders it.",
    remedy=READ_IT,
    sources=("CWE-400",),
)  # fmt: skip
def huge_output(case: Analysed) -> Iterator[Hit]:
    """Repeated or padded text, or more memory than there was when it was rendered."""
    for note in case.facts.of_kind("huge-output"):
        yield Hit(case.at(note), note.text)


@BOOK.rule(
    "recursion", "high",
    title="the template calls itself without end",
    why="It ends the server that renders it.",
    remedy=READ_IT,
    sources=("CWE-674",),
)  # fmt: skip
def recursion(case: Analysed) -> Iterator[Hit]:
    """A macro or recursive loop that calls itself under no condition."""
    for note in case.facts.of_kind("recursion"):
        yield Hit(case.at(note), note.text)


@BOOK.rule(
    "too-deep", "high",
    title="the template is nested deeper than parsers go",
    why="Parsers end in a stack overflow on it.",
    remedy=READ_IT,
    sources=("CWE-674",),
)  # fmt: skip
def too_deep(case: Analysed) -> Iterator[Hit]:
    """Brackets or blocks within one another."""
    for note in case.facts.of_kind("too-deep"):
        yield Hit(case.at(note), note.text)


@BOOK.rule(
    "too-long", "medium",
    title="the template is over 1 MiB",
    why="No chat template is a hundredth of that; what it hides is not looked at.",
    remedy=COMPARE,
)  # fmt: skip
def too_long(case: Analysed) -> Iterator[Hit]:
    """More text than is looked at."""
    for note in case.facts.of_kind("too-long"):
        yield Hit(case.at(note), note.text)


@BOOK.rule(
    "syntax", "medium",
    title="the template does not parse",
    why="Engines fall back to another template, or fail; what it does cannot be told.",
    remedy=COMPARE,
)  # fmt: skip
def syntax(case: Analysed) -> Iterator[Hit]:
    """Neither Jinja's syntax nor, for Ollama, Go's."""
    for note in case.facts.of_kind("syntax"):
        yield Hit(case.at(note), note.text)


@BOOK.rule(
    "fails", "low",
    title="the template fails on every plain conversation",
    why="What it does to conversations cannot be told by rendering them.",
    remedy=COMPARE,
)  # fmt: skip
def fails(case: Analysed) -> Iterator[Hit]:
    """Not one of the plain conversations is rendered."""
    for note in case.facts.of_kind("fails"):
        yield Hit(case.at(note), note.text)
