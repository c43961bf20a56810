"""`generation_config.json` of every folder of a download, read beside the tokenizer that its ids are of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from qaudit.errors import InputError
from qaudit.findings import State, Surface
from qaudit.static.case import Case, opened
from qaudit.static.configs.lenient_json import Document
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.metadata import generation_rules
from qaudit.static.metadata.generation_rules import Generation
from qaudit.static.model_parts import Examined
from qaudit.static.vocabulary.json_text import Text, read_text
from qaudit.static.vocabulary.tokenizer_folder import read_folders

NAME = "generation_config.json"
MAX_SETTINGS = 4 << 20  # bytes; lists of suppressed tokens are the longest part
MOST_FILES = 32


@dataclass(frozen=True, slots=True)
class _Beside:
    tokens: Sequence[str | None] = ()
    ends: frozenset[int] = frozenset()
    config: Mapping[str, object] = field(default_factory=dict)


def inspect_generation_config(folder: FolderView, case: Case) -> Examined:
    """Judge every generation_config.json.

    Raises:
        HubUnreachable: a hub no longer answers.
    """
    examined = Examined()
    found = [
        entry for entry in folder.entries if entry.path.rpartition("/")[2] == NAME and entry.open is not None
    ]
    for entry in found[:MOST_FILES]:
        text = _text(entry)
        state: State = "skipped" if text.why else "examined"
        examined.surfaces.append(Surface(entry.path, "config", state, text.why))
        if text.why and text.document.problem is None:
            continue
        prefix = entry.path.removesuffix(NAME)
        beside = _beside(folder, prefix, text)
        examined.findings += generation_rules.BOOK.findings(
            Generation(entry.path, text.document, text.record, beside.tokens, beside.ends, beside.config)
        )
    examined.surfaces += [
        Surface(entry.path, "config", "skipped", f"more than {MOST_FILES} of them")
        for entry in found[MOST_FILES:]
    ]
    return examined


def _text(entry: Entry) -> Text:
    try:
        with opened(entry) as source:
            return read_text(source, MAX_SETTINGS)
    except InputError as error:
        return Text(Document(), str(error))


def _beside(folder: FolderView, prefix: str, text: Text) -> _Beside:
    config = folder.by_path.get(f"{prefix}config.json")
    record = _text(config).record if config is not None and config.open is not None else {}
    # a vocabulary takes time to read: only for ids that a rule would name
    found = read_folders(folder) if generation_rules.names_tokens(text.record) else ()
    view = next((tokenizer.view for tokenizer in found if tokenizer.prefix == prefix), None)
    if view is None:
        return _Beside(config=record)
    ends = frozenset(view.special[role] for role in ("eos", "eot") if role in view.special)
    return _Beside(view.tokens, ends, record)
