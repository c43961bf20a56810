"""A candidate's models laid beside those of its reference: templates, vocabulary, settings, tensors."""

from collections.abc import Callable, Sequence
from functools import partial

from qaudit.findings import Finding, Surface
from qaudit.static.guarding import guarded
from qaudit.static.model_parts import Examined, ModelParts
from qaudit.static.models import is_adapter, reference_for

Compare = Callable[[ModelParts, ModelParts], list[Finding]]


def _templates(candidate: ModelParts, reference: ModelParts) -> list[Finding]:
    from qaudit.static.templates.compare import compare_templates

    return compare_templates(candidate, reference)


def _vocabularies(candidate: ModelParts, reference: ModelParts) -> list[Finding]:
    from qaudit.static.vocabulary.compare import compare_vocabularies

    return compare_vocabularies(candidate, reference)


def _settings(candidate: ModelParts, reference: ModelParts) -> list[Finding]:
    from qaudit.static.metadata.compare import compare_settings

    return compare_settings(candidate, reference)


def _tensors(candidate: ModelParts, reference: ModelParts) -> list[Finding]:
    from qaudit.static.tensors.compare import compare_tensors

    return compare_tensors(candidate, reference)


def _adapter(candidate: ModelParts, base: ModelParts) -> list[Finding]:
    from qaudit.static.gguf.adapter_fit import compare_adapter

    return compare_adapter(candidate, base)


# an adapter beside the model that it is for has nothing to be equal in
FOR_ADAPTERS: tuple[tuple[str, Compare], ...] = (("adapter", _adapter),)
COMPARISONS: tuple[tuple[str, Compare], ...] = (
    ("templates", _templates),
    ("vocabularies", _vocabularies),
    ("settings", _settings),
    ("tensors", _tensors),
)


def compare(candidates: Sequence[ModelParts], references: Sequence[ModelParts], name: str) -> Examined:
    """Compare each model of a download with that of the reference that it belongs to.

    Args:
        candidates: the download's models.
        references: the reference's models.
        name: the reference, for the report.
    """
    examined = Examined()
    if not candidates:
        examined.surfaces.append(Surface(name, "comparison", "skipped", "the target holds no model"))
    for candidate in candidates:
        reference = reference_for(candidate, references)
        if reference is None:
            why = f"nothing in {name} is of the same sort"
            examined.surfaces.append(Surface(candidate.location, "comparison", "skipped", why))
            continue
        fits = is_adapter(candidate) and not is_adapter(reference)
        for what, comparison in FOR_ADAPTERS if fits else COMPARISONS:
            look = partial(_compared, comparison, candidate, reference)
            examined.add(guarded(candidate.location, "comparison", f"comparison of {what}", look))
        examined.surfaces.append(Surface(candidate.location, "comparison", "examined"))
    return examined


def _compared(comparison: Compare, candidate: ModelParts, reference: ModelParts) -> Examined:
    return Examined(findings=comparison(candidate, reference))
