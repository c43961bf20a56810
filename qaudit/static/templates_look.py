"""The chat templates of all models of a download, looked at beside everything else.

What renders them is a process of its own that takes a while to start, so it is waited for in a thread.
Models with the same templates (one model in ten quantizations) are looked at once.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from qaudit.static.facts import vocabulary_sha256
from qaudit.static.guarding import guarded
from qaudit.static.model_parts import Examined, ModelParts, VocabularyView

if TYPE_CHECKING:
    from qaudit.static.templates.analyst import Analyst

_Same = tuple[object, ...]


class TemplatesLook:
    """Looks at the templates while the `with` block does something else.

    Args:
        models: of a download.
        waiting: a process that was started ahead, to ask.

    Attributes:
        examined: what was found for each model with templates; complete after the block.
    """

    def __init__(self, models: Sequence[ModelParts], waiting: "Analyst | None" = None) -> None:
        self.examined: list[Examined] = []
        self._waiting = waiting
        self._groups: dict[_Same, list[ModelParts]] = {}
        several = len(models) > 1
        for parts in models:
            if parts.templates:
                texts = tuple((t.name, t.text, t.dialect) for t in parts.templates)
                # one that stands alone is like none, and a tokenizer takes a while to digest
                tokens = vocabulary_sha256(parts.vocabulary) if several and parts.vocabulary else ""
                self._groups.setdefault((texts, tokens), []).append(parts)
        self._thread = threading.Thread(target=self._look, name="templates", daemon=True)
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        if self._groups:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._groups:
            self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def _look(self) -> None:
        try:
            for alike in self._groups.values():
                first = alike[0]
                look = partial(_examined, first, self._waiting)
                examined = guarded(first.location, "templates", "templates", look)
                self.examined += [_moved(examined, first, other) for other in alike]
        except BaseException as error:  # noqa: BLE001 - raised again where the thread is waited for
            self._failure = error


def _examined(parts: ModelParts, waiting: "Analyst | None") -> Examined:
    from qaudit.static.templates.inspector import inspect_templates

    return inspect_templates(parts.templates, special_texts(parts.vocabulary), parts.vocabulary, waiting)


def special_texts(vocabulary: VocabularyView | None) -> dict[str, str]:
    """Return the special tokens' texts under the names that templates know them by, such as `bos_token`."""
    if vocabulary is None:
        return {}
    texts = {}
    for role, number in vocabulary.special.items():
        text = vocabulary.tokens[number] if 0 <= number < len(vocabulary.tokens) else None
        if text is not None:
            texts[f"{role}_token"] = text
    return texts


def _moved(examined: Examined, first: ModelParts, other: ModelParts) -> Examined:
    """Return what was found in one model's templates as it holds for another with the same ones."""
    if other is first:
        return examined
    places = {a.location: b.location for a, b in zip(first.templates, other.templates, strict=True)}
    # the longest first: one place may begin another
    known = sorted(places, key=len, reverse=True)

    def moved(text: str) -> str:
        start = next((place for place in known if text.startswith(place)), None)
        return text if start is None else places[start] + text[len(start) :]

    return Examined(
        [replace(finding, location=moved(finding.location)) for finding in examined.findings],
        [replace(surface, path=moved(surface.path)) for surface in examined.surfaces],
    )
