"""One file of code, wherever it lies -> findings."""

import json
import re
from dataclasses import replace
from typing import Final

from qaudit.findings import Surface
from qaudit.static.byte_source import ByteSource
from qaudit.static.case import opened
from qaudit.static.folder_view import FileKind, FolderView
from qaudit.static.kinds import HEAD_BYTES, content_of, suffix_of
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.model_parts import Examined
from qaudit.static.repository import code_rules, source_rules
from qaudit.static.repository.code_book import BOOK, CodeFile
from qaudit.static.repository.python_walk import MAX_SOURCE, CodeCall, walk_python
from qaudit.static.repository.shell_text import commands_in

# rules enter the book when their module is imported
RULES = (code_rules, source_rules)
# files that transformers, a hub's endpoints or pip import or run by their names
_LOADED: Final = LazyPattern(
    r"(?:^|/)(?:(?:modeling|configuration|tokenization|processing|image_processing|feature_extraction|"
    r"video_processing|generation|modular|quantization|pipeline)_?\w*|handler|setup|custom_model|model|inference|"
    r"predict|generate|__init__|conftest|sitecustomize|usercustomize|app)\.py$"
)
_MAGIC: Final = LazyPattern(r"^\s*[!%?]")
_PYTHON_CELL: Final = LazyPattern(r"%%(?:time|timeit|capture|prun|python3?|memit)\b")
_ACTIVE: Final = LazyPattern(
    r"<script\b|\bon(?:error|load|click)\s*=|javascript:|<iframe\b|<object\b", re.IGNORECASE
)
_TARGET: Final = LazyPattern(rb'"(?:[\w./-]+--)?([A-Za-z_]\w*)\.[A-Za-z_]\w*"')
MAX_AUTO_MAP: Final = 1 << 20


def inspect_code_file(source: ByteSource, kind: FileKind, modules: frozenset[str] = frozenset()) -> Examined:
    """Apply the rules for code to one file; nothing in it is run or imported.

    Args:
        source: the file.
        kind: `python`, `script`, `notebook` or `native`.
        modules: names of modules that the download's configuration has loaded (`mapped_modules`).

    Raises:
        InputError: the file cannot be read.
        HubUnreachable: the hub no longer answers.
    """
    if kind == "native":
        content = content_of(source.read_at(0, HEAD_BYTES)) or ""
        if not content and suffix_of(source.name) in (".pyc", ".pyo"):
            content = "compiled Python"
        code = CodeFile(source.name, "native", content=content)
        why = "a program; only that it is there is told"
        return Examined(BOOK.findings(code), [Surface(source.name, "native", "partial", why)])
    raw = source.read_at(0, MAX_SOURCE)
    text = raw.decode("utf-8", "replace")
    code = CodeFile(source.name, kind, text=text)
    if kind == "python":
        code.python = walk_python(source.name, raw)
        module = source.name.rpartition("/")[2].removesuffix(".py")
        code.loaded = module in modules or _LOADED.search(source.name) is not None
    elif kind == "notebook":
        _read_notebook(code, raw)
    else:
        code.commands = list(commands_in(text))
    surface = Surface(source.name, kind, "examined")
    if source.size > MAX_SOURCE:
        surface = Surface(source.name, kind, "partial", f"only the first {MAX_SOURCE} bytes were read")
    elif code.python and code.python.problem:
        surface = Surface(source.name, kind, "partial", code.python.problem[:200])
    return Examined(BOOK.findings(code), [surface])


def mapped_modules(folder: FolderView) -> frozenset[str]:
    """Return the modules that `auto_map` and the like name in any configuration of a download."""
    found: set[str] = set()
    for entry in folder.of_kind("config", "tokenizer"):
        if entry.path.endswith(".json") and entry.open is not None and entry.size <= MAX_AUTO_MAP:
            with opened(entry) as source:
                raw = source.read_at(0, MAX_AUTO_MAP)
            if b"auto_map" in raw or b"custom_pipelines" in raw:
                found |= {match[1].decode() for match in _TARGET.finditer(raw)}
    return frozenset(found)


def _read_notebook(code: CodeFile, raw: bytes) -> None:
    """Take a notebook apart: its code cells are Python and commands, its outputs may be active."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        code.commands = list(commands_in(code.text))
        return
    cells = document.get("cells") if isinstance(document, dict) else None
    lines: list[str] = []
    for cell in cells if isinstance(cells, list) else ():
        if not isinstance(cell, dict):
            continue
        source = cell.get("source", "")
        text = (
            "".join(part for part in source if isinstance(part, str))
            if isinstance(source, list)
            else str(source)
        )
        if cell.get("cell_type") == "code":
            other = text.lstrip().startswith("%%") and not _PYTHON_CELL.match(text.lstrip())
            # a cell of another language is no Python, but its lines are still commands
            lines += [f"!{line}" if other else line for line in text.split("\n")]
        for output in cell["outputs"] if isinstance(cell.get("outputs"), list) else ():
            _output(code, output)
    code.commands = list(commands_in("\n".join(lines)))
    plain = "\n".join("pass" if _MAGIC.match(line) else line for line in lines)
    # nobody imports a notebook: its cells run when a person runs them
    code.python = walk_python(code.name, f"if __name__ == '__main__':\n pass\n{plain}".encode())
    code.python.calls = [_by_hand(call) for call in code.python.calls]


def _by_hand(call: CodeCall) -> CodeCall:
    return replace(call, when="main") if call.when == "import" else call


def _output(code: CodeFile, output: object) -> None:
    data = output.get("data") if isinstance(output, dict) else None
    for kind, value in data.items() if isinstance(data, dict) else ():
        text = "".join(map(str, value)) if isinstance(value, list) else str(value)
        active = kind == "application/javascript" or (kind == "text/html" and _ACTIVE.search(text[:200_000]))
        if active and len(code.active) < 100:
            code.active.append(f"{kind}: {text[:120]!a}")
