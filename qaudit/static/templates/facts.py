"""What the analyst process tells of a template, as it goes over the pipe: plain values, no judgement."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

# what a condition looks at, as far as it is no part of a template's business
GuardKind = Literal["content", "lookup", "length", "count", "date", "tool", "chance"]
MOST_SHOWN = 300  # characters of a text that a note is about
MOST_KEPT = 1 << 19  # characters of all skeletons; honest ones have a tenth
LONGEST = 1 << 20  # characters of a template that is looked at; engines take as many
OUT_OF_MEMORY = 77  # what the analyst process ends with then


@dataclass(frozen=True, slots=True)
class Note:
    """One thing seen at a line of a template.

    Attributes:
        kind: which rule it is for.
        line: 0 where there is none.
        text: what was seen.
        why: what it depends on, or what made it be seen.
        grade: how sure or how grave; the rule says what it means.
    """

    kind: str
    line: int
    text: str
    why: str = ""
    grade: int = 0


@dataclass(slots=True)
class TemplateFacts:
    """All that is known of one template.

    Attributes:
        error: why it cannot be parsed; the other fields are then empty.
        notes: by parsing and by rendering.
        skeletons: conversation -> what it renders to with each message in place of a mark, for comparing.
        fixed: text that is there for every conversation (a default system prompt and the like).
        limits: what was left out and why.
    """

    error: str = ""
    notes: list[Note] = field(default_factory=list)
    skeletons: dict[str, str] = field(default_factory=dict)
    fixed: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)

    def packed(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def unpacked(cls, told: Mapping[str, Any]) -> Self:
        """Read what the analyst told, which is not believed to have the right form.

        Raises:
            ValueError: it does not have it.
        """
        try:
            notes = [
                Note(str(n["kind"]), int(n["line"]), str(n["text"]), str(n["why"]), int(n["grade"]))
                for n in told["notes"]
            ]
            skeletons = {str(name): str(text) for name, text in told["skeletons"].items()}
            return cls(str(told["error"]), notes, skeletons, _texts(told["fixed"]), _texts(told["limits"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the analyst's answer has no {error}") from error

    @classmethod
    def too_long(cls, characters: int) -> Self:
        """Return what is known of a text that is longer than is looked at."""
        return cls("longer than 1 MiB", [Note("too-long", 0, f"{characters} characters")])

    def keep(self, name: str, skeleton: str) -> None:
        """Add what a conversation renders to; of what is long in all, its start and a digest."""
        if sum(map(len, self.skeletons.values())) + len(skeleton) > MOST_KEPT:
            from hashlib import sha256  # few need it

            digest = sha256(skeleton.encode("utf-8", "surrogatepass")).hexdigest()
            skeleton = f"{skeleton[:MOST_SHOWN]}… ({len(skeleton)} characters, SHA-256 {digest})"
        self.skeletons.setdefault(name, skeleton)

    def of_kind(self, kind: str) -> list[Note]:
        """Return the notes of one kind."""
        return [note for note in self.notes if note.kind == kind]


def _texts(values: Sequence[object]) -> list[str]:
    return [str(value) for value in values]
