"""What a rule is: one small function with an id, a severity, a source and a remedy.

A family of rules looks at one kind of subject (a parsed GGUF, a template, a folder). The function says
where and what it saw; everything else about the finding is declared once, beside it, and the list of
rules that people read is made from these declarations.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from qaudit.findings import Finding, Severity

Subject = TypeVar("Subject")

# a hostile file can break one rule a million times; the first few places say enough
MOST_PER_RULE = 20
MAX_EVIDENCE = 1000  # characters
MAX_LOCATION = 400


@dataclass(frozen=True, slots=True)
class Hit:
    """One place where a rule does not hold.

    Attributes:
        location: `file`, `file:key`, `file@byte 123` or the like, for a person.
        evidence: what is there, in one line.
        severity: where it is not the rule's own.
    """

    location: str
    evidence: str
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A declared rule.

    Attributes:
        id: `family/words-with-dashes`, for good once it is released.
        title: what is wrong, in a few words.
        why: one or two sentences for the docs: what it does to whoever loads the file.
        remedy: what to do next.
        sources: CVE ids, papers, specifications (https links or ids).
    """

    id: str
    severity: Severity
    title: str
    why: str
    remedy: str
    sources: tuple[str, ...]

    def at(self, hit: Hit) -> Finding:
        """Return the finding for one place."""
        return Finding(
            self.id,
            hit.severity or self.severity,
            self.title,
            _shortened(hit.location, MAX_LOCATION),
            _shortened(hit.evidence, MAX_EVIDENCE),
            self.remedy,
            self.sources,
        )


class RuleBook(Generic[Subject]):
    """The rules of one family, in the order in which they were declared."""

    def __init__(self, family: str, about: str) -> None:
        self.family, self.about = family, about
        self._rules: dict[str, tuple[Rule, Callable[[Subject], Iterable[Hit]]]] = {}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules of the family."""
        return tuple(rule for rule, _ in self._rules.values())

    def rule(
        self,
        name: str,
        severity: Severity,
        *,
        title: str,
        why: str,
        remedy: str,
        sources: tuple[str, ...] = (),
    ) -> Callable[[Callable[[Subject], Iterable[Hit]]], Callable[[Subject], Iterable[Hit]]]:
        """Declare a function of the subject as the rule `family/name`.

        Raises:
            ValueError: the family has a rule of that name already.
        """
        declared = Rule(f"{self.family}/{name}", severity, title, why, remedy, sources)

        def enter(function: Callable[[Subject], Iterable[Hit]]) -> Callable[[Subject], Iterable[Hit]]:
            if name in self._rules:
                raise ValueError(f"{declared.id} is declared twice")
            self._rules[name] = declared, function
            return function

        return enter

    def findings(self, subject: Subject) -> list[Finding]:
        """Apply every rule; each gives at most `MOST_PER_RULE` findings, the last telling how many more."""
        return [
            finding
            for rule, function in self._rules.values()
            for finding in _bounded(rule, function(subject))
        ]


def _bounded(rule: Rule, hits: Iterable[Hit]) -> Iterator[Finding]:
    last, more = None, 0
    for number, hit in enumerate(hits):
        if number < MOST_PER_RULE - 1:
            yield rule.at(hit)
        elif last is None:
            last = hit
        else:
            more += 1
    if last is not None:
        told = f"{last.evidence[: MAX_EVIDENCE - 60]} (and {more} more places)" if more else last.evidence
        yield rule.at(Hit(last.location, told, last.severity))


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
