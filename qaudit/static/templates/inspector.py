"""All templates of one model: analysed in one process, judged by rules, laid beside one another."""

from collections.abc import Mapping, Sequence

from qaudit.errors import EngineFailure
from qaudit.findings import Surface
from qaudit.static.model_parts import Examined, TemplateText, VocabularyView
from qaudit.static.templates.analyst import Analyst, analysed
from qaudit.static.templates.copies import BOOK as COPIES
from qaudit.static.templates.copies import Copies
from qaudit.static.templates.markers import BOOK as MARKERS
from qaudit.static.templates.markers import Marked
from qaudit.static.templates.template_rules import BOOK, Analysed
from qaudit.static.templates.text_rules import BOOK as TEXT


def inspect_templates(
    templates: Sequence[TemplateText],
    special_tokens: Mapping[str, str],
    vocabulary: VocabularyView | None = None,
    waiting: Analyst | None = None,
) -> Examined:
    """Look at the templates of one model.

    Args:
        templates: from wherever they lie.
        special_tokens: `bos_token` and the like, as templates know them.
        vocabulary: the model's, to see whether it has the markers that templates write.
        waiting: a process that was started ahead, to ask.

    Raises:
        EngineFailure: no process can be started to look at them.
    """
    examined = Examined()
    if not templates:
        return examined
    facts = analysed(templates, special_tokens, waiting=waiting)
    for template, known in zip(templates, facts, strict=True):
        examined.findings += BOOK.findings(Analysed(template, known))
        examined.findings += TEXT.findings(template)
        examined.surfaces.append(_surface(template, known.error, known.limits))
    examined.findings += COPIES.findings(Copies(tuple(templates), tuple(facts)))
    if vocabulary is not None:
        examined.findings += MARKERS.findings(Marked(tuple(templates), vocabulary))
    return examined


def _surface(template: TemplateText, error: str, limits: Sequence[str]) -> Surface:
    if error:
        return Surface(template.location, "template", "partial", error)
    if limits:
        return Surface(template.location, "template", "partial", "; ".join(limits))
    return Surface(template.location, "template", "examined")


__all__ = ["EngineFailure", "inspect_templates"]
