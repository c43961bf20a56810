"""Starts the process that looks at templates before any is parsed out, where there seem to be some.

It takes a tenth of a second to start, on a processor of its own, in which the rest is looked at.
"""

import contextlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from qaudit.errors import EngineFailure, InputError
from qaudit.static.case import opened
from qaudit.static.folder_view import Entry, FolderView

if TYPE_CHECKING:
    from qaudit.static.templates.analyst import Analyst

# of a GGUF; a template that stands behind a larger vocabulary is looked at all the same, only later
FIRST_BYTES = 8 << 20
STEP = 1 << 20
KEY = b"tokenizer.chat_template"


def analyst_ahead(view: FolderView) -> "AbstractContextManager[Analyst | None]":
    """Start a process for a download's templates; None where there seem to be none, or it cannot start."""
    if not _seems_to_hold_templates(view):
        return contextlib.nullcontext()
    from qaudit.static.templates.analyst import Analyst

    try:
        return Analyst()
    except EngineFailure:  # told by whoever needs it
        return contextlib.nullcontext()


def _seems_to_hold_templates(view: FolderView) -> bool:
    if any(view.of_kind("template", "tokenizer")):
        return True
    # of a split set the first file has the metadata
    first = next(iter(view.of_kind("gguf")), None)
    return first is not None and _has_key(first)


def _has_key(entry: Entry) -> bool:
    with contextlib.suppress(InputError), opened(entry) as source:
        if not source.local:  # its bytes come slowly, and once
            return True
        # each window begins within the one before it, lest the key lie across two
        starts = range(0, min(source.size, FIRST_BYTES), STEP - len(KEY))
        return any(KEY in source.read_at(start, min(STEP, FIRST_BYTES - start)) for start in starts)
    return False
