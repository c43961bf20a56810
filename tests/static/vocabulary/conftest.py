from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizer_kit import tokenizer_json, write_json

from qaudit.static.case import Case
from qaudit.static.model_parts import Examined, VocabularyView
from qaudit.static.surveying import survey
from qaudit.static.vocabulary.inspector import inspect_tokenizer_files
from qaudit.static.vocabulary.tokens import Vocabulary


@pytest.fixture
def vocabulary() -> Callable[..., Vocabulary]:
    """A vocabulary from (text, kind) pairs and fields of the view."""

    def make(
        *tokens: tuple[str, int], rows: int | None = None, bounds_hold: bool = False, **fields: Any
    ) -> Vocabulary:
        fields.setdefault("kinds", [kind for _, kind in tokens])
        view = VocabularyView("m.gguf", fields.pop("model", "gpt2"), [text for text, _ in tokens], **fields)
        return Vocabulary(view, rows, bounds_hold)

    return make


@pytest.fixture
def inspected(tmp_path: Path) -> Callable[..., Examined]:
    """What a folder with tokenizer files gives; each file is an object for JSON, text or bytes."""

    def look(files: dict[str, Any] | None = None, **changes: Any) -> Examined:
        written = {"tokenizer.json": tokenizer_json(**changes), **(files or {})}
        for name, content in written.items():
            if content is not None:
                write_json(tmp_path / name, content)
        view = survey(tmp_path)
        return inspect_tokenizer_files(view, Case(folder=view))

    return look
