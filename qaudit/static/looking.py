"""Applying the inspectors to a download: each file by its kind, then the folder as a whole."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from qaudit.findings import Finding, Surface
from qaudit.static.by_kind import OF_FILE, OfFolder, of_folder
from qaudit.static.case import Case, opened
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.guarding import guarded
from qaudit.static.model_parts import Examined, ModelParts
from qaudit.static.models import put_together
from qaudit.static.templates_ahead import analyst_ahead
from qaudit.static.templates_look import TemplatesLook

if TYPE_CHECKING:
    from qaudit.static.templates.analyst import Analyst

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Looked:
    """What a look at a download gave; `models` are put together from all files."""

    findings: list[Finding] = field(default_factory=list)
    surfaces: list[Surface] = field(default_factory=list)
    models: tuple[ModelParts, ...] = ()


def look_at(
    view: FolderView, *, deep: bool = False, parts_only: bool = False, progress: Progress | None = None
) -> Looked:
    """Apply every inspector that has something to look at.

    Args:
        view: the download.
        deep: read the values of the weights too.
        parts_only: look only for what a comparison needs, as in a reference: its findings are no concern.
        progress: called with the path that is looked at, how many are done and how many there are.

    Raises:
        EnvironmentProblem: a hub no longer answers, or something that is needed is not installed.
    """
    with contextlib.nullcontext() if parts_only else analyst_ahead(view) as analyst:
        return _looked_at(view, analyst, deep=deep, parts_only=parts_only, progress=progress)


def _looked_at(
    view: FolderView, analyst: "Analyst | None", *, deep: bool, parts_only: bool, progress: Progress | None
) -> Looked:
    case = Case(deep=deep and not parts_only, folder=view)
    looked = Looked(surfaces=list(view.left_out))
    if not view.entries:
        # a gate must not pass because it was pointed at the wrong folder
        looked.surfaces.append(Surface(view.name, "folder", "skipped", "there is no file in it"))
    found: list[tuple[str, ModelParts]] = []
    for number, entry in enumerate(view.entries):
        if progress:
            progress(entry.path, number, len(view.entries))
        _take(looked, found, entry.path, _one_file(entry, case))
    for inspector in of_folder(view, gives_parts=True):
        _take(looked, found, "", _whole(inspector, view, case))
    _take(looked, found, "", guarded(view.name, "templates", "templates", partial(_folder_templates, view)))
    looked.models = put_together(found)
    if not parts_only:
        # another process renders the templates; meanwhile we look at the rest
        with TemplatesLook(looked.models, analyst) as templates:
            for inspector in of_folder(view, gives_parts=False):
                _take(looked, [], "", _whole(inspector, view, case))
        for examined in templates.examined:
            _take(looked, [], "", examined)
    looked.surfaces += _unseen(view, looked.surfaces)
    return looked


def _one_file(entry: Entry, case: Case) -> Examined:
    inspector = OF_FILE.get(entry.kind)
    if inspector is None or entry.open is None:
        return Examined()

    def look() -> Examined:
        with opened(entry) as source:
            return inspector(source, case)

    return guarded(entry.path, entry.kind, inspector.__name__.strip("_"), look)


def _whole(inspector: OfFolder, view: FolderView, case: Case) -> Examined:
    return guarded(view.name, "folder", inspector.__name__.strip("_"), partial(inspector, view, case))


def _take(looked: Looked, found: list[tuple[str, ModelParts]], path: str, examined: Examined) -> None:
    looked.findings += examined.findings
    looked.surfaces += examined.surfaces
    if examined.parts is not None:
        found.append((path, examined.parts))


def _folder_templates(view: FolderView) -> Examined:
    if not {"config", "tokenizer", "template"} & {entry.kind for entry in view.entries}:
        return Examined()
    from qaudit.static.templates.sources import folder_templates

    templates = tuple(folder_templates(view))
    return Examined(parts=ModelParts(view.name, "", templates=templates) if templates else None)


def _unseen(view: FolderView, surfaces: Sequence[Surface]) -> list[Surface]:
    """Return a surface for each file of which no inspector said how far it looked."""
    seen = {surface.path for surface in surfaces}
    return [
        Surface(entry.path, entry.kind, "skipped", "no rule reads files of this kind")
        for entry in view.entries
        if entry.path not in seen
    ]
