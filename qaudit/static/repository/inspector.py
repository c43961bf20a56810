"""A download as a folder -> findings: names, links, formats, code, texts and programs in it."""

import json
import os
from typing import Final

from qaudit.errors import InputError
from qaudit.findings import Surface
from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case, opened
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.kinds import HEAD_BYTES, content_of
from qaudit.static.model_parts import Examined
from qaudit.static.repository import folder_rules, name_rules
from qaudit.static.repository.download import Download, Note

MAX_CODE_FILES: Final = 500
MAX_CONFIG: Final = 1 << 20
TAIL: Final = 65_557
_CODE: Final = frozenset({"python", "script", "notebook", "native"})
_TEXTS: Final = frozenset({"readme", "text", "config", "other"})
_SEEN_WHOLE: Final = frozenset({"image", "media", "pdf", "parquet", "arrow", "sqlite"})
# of these their own inspectors look at what lies behind the end
_OWN_ENDS: Final = frozenset(
    {"gguf", "ggml", "safetensors", "zip", "archive", "python", "template", "tokenizer"}
)


def inspect_repository(folder: FolderView, case: Case) -> Examined:
    """Apply the rules over a download as a whole, and over its code, texts and programs.

    Raises:
        HubUnreachable: the hub no longer answers.
    """
    examined, download = Examined(), Download(folder)
    for entry in folder.entries:
        if entry.open is None:
            why = "a link that leads out" if entry.escapes else "cannot be opened"
            examined.surfaces.append(Surface(entry.path, entry.kind, "skipped", why))
            continue
        try:
            with opened(entry) as source:
                _look(entry, source, download, examined, case)
        except InputError as error:
            examined.surfaces.append(Surface(entry.path, entry.kind, "skipped", str(error)))
    if any(entry.kind in _CODE for entry in folder.entries):
        _code(folder, examined)
    examined.findings += name_rules.BOOK.findings(download) + folder_rules.BOOK.findings(download)
    return examined


def _code(folder: FolderView, examined: Examined) -> None:
    """Look at the files of code, one after another; what reads them is not loaded where there is none."""
    from qaudit.static.repository.code_files import inspect_code_file, mapped_modules

    modules = mapped_modules(folder)
    entries = [entry for entry in folder.entries if entry.kind in _CODE and entry.open is not None]
    for entry in entries[:MAX_CODE_FILES]:
        try:
            with opened(entry) as source:
                examined.add(inspect_code_file(source, entry.kind, modules))
        except InputError as error:
            examined.surfaces.append(Surface(entry.path, entry.kind, "skipped", str(error)))
    for entry in entries[MAX_CODE_FILES:]:
        why = f"more than {MAX_CODE_FILES} files of code; not looked at"
        examined.surfaces.append(Surface(entry.path, entry.kind, "skipped", why))


def _look(entry: Entry, source: ByteSource, download: Download, examined: Examined, case: Case) -> None:
    """Read of one file what the rules over the folder need."""
    head = source.read_at(0, HEAD_BYTES)
    content = content_of(head)
    if content is not None:
        download.contents[entry.path] = content
    if entry.kind == "lfs-pointer" or entry.path.endswith(".pth"):
        download.heads[entry.path] = head[:512]
    if _has_other_names(source):
        download.linked.append(entry.path)
    if entry.path == "config.json":
        download.settings = _settings(source)
    if entry.kind not in _OWN_ENDS and source.local:
        _ends_otherwise(entry, source, head, download, examined, case)
    if entry.kind in _TEXTS:
        _text(entry, source, download, examined)
    if entry.kind == "lfs-pointer":
        why = "only a pointer of git-lfs is there"
        examined.surfaces.append(Surface(entry.path, "lfs-pointer", "absent", why))
    elif entry.kind == "other" and content in _SEEN_WHOLE:
        examined.surfaces.append(Surface(entry.path, "other", "examined"))
    elif entry.kind in ("other", "text", "native"):
        _foreign(entry, source, download, examined)


def _text(entry: Entry, source: ByteSource, download: Download, examined: Examined) -> None:
    from qaudit.static.repository.texts import (
        MAX_TEXT,
        claims_of,
        dependency_notes,
        is_dependency_list,
        readme_notes,
    )

    if entry.kind not in ("readme", "text") and not is_dependency_list(entry.path):
        return
    text = source.read_at(0, MAX_TEXT).decode("utf-8", "replace")
    if is_dependency_list(entry.path):
        download.notes += dependency_notes(entry.path, text)
    if entry.kind not in ("readme", "text"):
        return
    download.notes += readme_notes(entry.path, text)
    if entry.path.lower() == "readme.md":
        download.claims = claims_of(text)
    state = Surface(entry.path, entry.kind, "examined")
    if source.size > MAX_TEXT:
        state = Surface(entry.path, entry.kind, "partial", f"only the first {MAX_TEXT} bytes were read")
    examined.surfaces.append(state)


def _foreign(entry: Entry, source: ByteSource, download: Download, examined: Examined) -> None:
    from qaudit.static.repository.foreign_formats import foreign_notes, is_foreign

    if is_foreign(entry.path):
        download.notes += foreign_notes(source)
        examined.surfaces.append(Surface(entry.path, "other", "partial", "a format that is only searched"))


def _ends_otherwise(
    entry: Entry, source: ByteSource, head: bytes, download: Download, examined: Examined, case: Case
) -> None:
    """Look whether a file that begins as something else ends as a zip, and into the zip."""
    tail = source.read_at(max(0, source.size - TAIL), TAIL)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or head.startswith(b"PK"):
        return
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    directory = source.size - len(tail) + at - length
    if length and directory >= 0 and source.read_at(directory, 4) == b"PK\x01\x02":
        told = f"begins as {content_of(head) or entry.kind} and ends as a zip"
        download.notes.append(Note("two-formats", f"{entry.path}@byte {directory}", told))
        from qaudit.static.archives.inspector import inspect_zip

        inner = inspect_zip(source, case)
        examined.findings += inner.findings


def _has_other_names(source: ByteSource) -> bool:
    path = getattr(source, "path", None)
    return path is not None and os.stat(path).st_nlink > 1


def _settings(source: ByteSource) -> dict[str, object]:
    """Return the configuration's top level; what is no JSON is another rule's finding."""
    try:
        value = json.loads(source.read_at(0, MAX_CONFIG))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
