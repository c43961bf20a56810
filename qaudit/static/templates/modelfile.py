"""Ollama's Modelfile: its instructions with their values, and the template, which other rules look at."""

import re
from dataclasses import dataclass

from qaudit.findings import Surface
from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case
from qaudit.static.model_parts import Examined, ModelParts, TemplateText
from qaudit.static.templates.modelfile_rules import BOOK, Instruction, Modelfile

MOST_BYTES = 4 << 20
MOST_INSTRUCTIONS = 2000
KNOWN = frozenset(
    [
        "FROM",
        "PARAMETER",
        "TEMPLATE",
        "SYSTEM",
        "ADAPTER",
        "LICENSE",
        "MESSAGE",
        "REQUIRES",
        "RENDERER",
        "PARSER",
        "DRAFT",
    ]
)
_WORD = re.compile(r"[^\S\n]*([A-Za-z]{1,40})(?=\s|$)")
_ROLE = re.compile(r"[^\S\n]*(system|user|assistant|tool)\b[^\S\n]?", re.IGNORECASE)
_PARAMETER = re.compile(r"[^\S\n]*(\S{1,100})[^\S\n]?")
_TRIPLE = '"""'


@dataclass(frozen=True, slots=True)
class _Read:
    text: str
    end: int
    problem: str = ""


def inspect_modelfile(source: ByteSource, case: Case) -> Examined:
    """Look at a Modelfile; its templates are given on as parts.

    Raises:
        InputError: it cannot be read.
    """
    raw = source.read_at(0, min(source.size, MOST_BYTES))
    modelfile = read_modelfile(source.name, raw.decode("utf-8", "replace"))
    if case.folder is not None:
        modelfile.beside = frozenset(case.folder.by_path)
    templates = tuple(
        TemplateText(f"{source.name}:TEMPLATE", "default", item.value, "go")
        for item in modelfile.instructions
        if item.word == "TEMPLATE"
    )
    surface = Surface(source.name, "modelfile", "examined")
    if source.size > MOST_BYTES:
        surface = Surface(source.name, "modelfile", "partial", f"only its first {MOST_BYTES} bytes")
    elif len(modelfile.instructions) == MOST_INSTRUCTIONS:
        surface = Surface(
            source.name, "modelfile", "partial", f"only its first {MOST_INSTRUCTIONS} instructions"
        )
    parts = ModelParts(source.name, "modelfile", templates=templates[:8]) if templates else None
    return Examined(BOOK.findings(modelfile), [surface], parts)


def read_modelfile(name: str, text: str) -> Modelfile:
    """Read the instructions of a Modelfile; what cannot be read is noted."""
    modelfile = Modelfile(name)
    at = 1 if text.startswith("\ufeff") else 0
    while at < len(text) and len(modelfile.instructions) < MOST_INSTRUCTIONS:
        line_end = _line_end(text, at)
        if not text[at:line_end].strip() or text[at:line_end].lstrip().startswith("#"):
            at = line_end + 1
            continue
        line = text.count("\n", 0, at) + 1
        match = _WORD.match(text, at)
        word = match.group(1).upper() if match else ""
        if match is None or word not in KNOWN:
            modelfile.problems.append((line, f"{text[at:line_end].strip()[:80]!r} is no instruction"))
            at = line_end + 1
            continue
        start, key = match.end(), ""
        inner = {"MESSAGE": _ROLE, "PARAMETER": _PARAMETER}.get(word)
        if inner is not None and (found := inner.match(text, start)):
            start, key = found.end(), found.group(1).lower()
        elif inner is not None:
            modelfile.problems.append((line, f"{word} without a name"))
        value = _value(text, start)
        if value.problem:
            modelfile.problems.append((line, f"{word} {value.problem}"))
        modelfile.instructions.append(Instruction(word, value.text, line, key))
        at = value.end
    return modelfile


def _value(text: str, at: int) -> _Read:
    """Read a value: three quotes over lines, one quote on a line, or the rest of the line."""
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    if text.startswith(_TRIPLE, at):
        end = text.find(_TRIPLE, at + 3)
        if end < 0:
            return _Read(text[at + 3 :], len(text), "has three quotes that are never closed")
        after = _line_end(text, end)
        rest = text[end + 3 : after].strip()
        return _Read(
            text[at + 3 : end], after + 1, f"has {rest[:60]!r} after its closing quotes" if rest else ""
        )
    line_end = _line_end(text, at)
    value = text[at:line_end].strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        return _Read(value[1:-1].replace('\\"', '"').replace("\\n", "\n"), line_end + 1)
    if value.startswith('"'):
        end = text.find('"', at + 1)
        if end < 0:
            return _Read(value[1:], line_end + 1, "has a quote that is never closed")
        return _Read(text[at + 1 : end], _line_end(text, end) + 1)
    return _Read(value, line_end + 1)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)
