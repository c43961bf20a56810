"""A candidate's templates beside its reference's: what was changed, and what conversations make of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.findings import Finding
from qaudit.static.model_parts import ModelParts, TemplateText
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.templates.analyst import analysed
from qaudit.static.templates.copies import rendered_difference, text_difference
from qaudit.static.templates.facts import TemplateFacts
from qaudit.static.templates.prose import words

BOOK: RuleBook["Compared"] = RuleBook("template", "a chat template beside the reference's")
TAKE = "use the reference's template, or find out why this one differs"


@dataclass(frozen=True, slots=True)
class Compared:
    """One template of the candidate and the one of that name of the reference; None where there is none."""

    candidate: TemplateText | None
    reference: TemplateText | None
    candidate_facts: TemplateFacts | None = None
    reference_facts: TemplateFacts | None = None


@BOOK.rule(
    "differs", "medium",
    title="the template is not the reference's",
    why="The model reads other text around the same conversation: refusals were trained with the original's.",
    remedy=TAKE,
    sources=("https://arxiv.org/abs/2602.04653",),
)  # fmt: skip
def differs(case: Compared) -> Iterator[Hit]:
    """Different text; graver where conversations render differently, and more so where words come or go."""
    if not (case.candidate and case.reference and case.candidate_facts and case.reference_facts):
        return
    place = f"{case.candidate.location} (reference {case.reference.location})"
    changed = text_difference(case.reference.text, case.candidate.text)
    shown = rendered_difference(case.reference_facts, case.candidate_facts)
    if not shown:
        both = bool(case.candidate_facts.skeletons and case.reference_facts.skeletons)
        why = "no conversation shows a difference" if both else "it cannot be rendered"
        yield Hit(place, f"{why}; changed lines: {changed}", "low" if both else None)
        return
    old = {word for text in case.reference_facts.skeletons.values() for word in words(text)}
    new = {word for text in case.candidate_facts.skeletons.values() for word in words(text)}
    said = sorted(word for word in old ^ new if not word.startswith("qz"))
    told = f"; words that come or go: {', '.join(said[:12])}" if said else ""
    yield Hit(place, f"{shown}{told}; changed lines: {changed}", "high" if len(said) > 1 else None)


@BOOK.rule(
    "missing", "medium",
    title="the reference has a template and this has none",
    why="Engines then guess one, and a model that was aligned with its template is asked without it.",
    remedy=TAKE,
)  # fmt: skip
def missing(case: Compared) -> Iterator[Hit]:
    """No template of that name."""
    if case.candidate is None and case.reference is not None:
        yield Hit(case.reference.location, f"the template {case.reference.name!r} is only in the reference")


@BOOK.rule(
    "added", "low",
    title="a template that the reference does not have",
    why="Engines take named templates for tools or documents; the original offers none of that name.",
    remedy=TAKE,
)  # fmt: skip
def added(case: Compared) -> Iterator[Hit]:
    """A name that only the candidate has."""
    if case.reference is None and case.candidate is not None:
        yield Hit(case.candidate.location, f"the template {case.candidate.name!r} is not in the reference")


def compare_templates(candidate: ModelParts, reference: ModelParts) -> list[Finding]:
    """Compare the templates of two models by name.

    Raises:
        EngineFailure: no process can be started to look at them.
    """
    ours = {(t.name, t.dialect): t for t in reversed(candidate.templates)}
    theirs = {(t.name, t.dialect): t for t in reversed(reference.templates)}
    cases: list[Compared] = []
    changed: list[tuple[TemplateText, TemplateText]] = []
    # every copy counts: an engine may take any of them
    for template in candidate.templates:
        other = theirs.get((template.name, template.dialect))
        if other is None:
            cases += [Compared(template, None)] if theirs else []
        elif template.text.strip() != other.text.strip():
            changed.append((template, other))
    cases += [Compared(None, other) for key, other in theirs.items() if key not in ours]
    if changed:
        tokens: dict[str, str] = {}
        facts = analysed([template for pair in changed for template in pair], tokens, together=True)
        cases += [
            Compared(ours_, theirs_, facts[2 * number], facts[2 * number + 1])
            for number, (ours_, theirs_) in enumerate(changed)
        ]
    return [finding for case in cases for finding in BOOK.findings(case)]
