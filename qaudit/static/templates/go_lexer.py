"""Pieces of a text in Go's text/template: what is text, and the tokens of what stands in braces."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.sandboxed_templates import TemplateProblem

MOST_PIECES = 20_000
_OPEN = re.compile(r"\{\{(-(?=\s))?")
_TOKEN = re.compile(
    r"(?P<blank>\s+)"
    r'|(?P<text>"(?:[^"\\\n]|\\.){0,65536}"|`[^`]{0,65536}`)'
    r"|(?P<character>'(?:[^'\\\n]|\\.){1,10}')"
    r"|(?P<number>[+-]?\d[\w.]{0,40})"
    r"|(?P<field>\.[A-Za-z_]\w{0,200})"
    r"|(?P<dot>\.)"
    r"|(?P<variable>\$\w{0,200})"
    r"|(?P<name>[A-Za-z_]\w{0,200})"
    r"|(?P<sign>:=|=|\||\(|\)|,)"
)
_ESCAPED = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    '"': '"',
    "'": "'",
    "\\": "\\",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an action; `glued` says that no blank stands before it."""

    kind: str
    text: str
    glued: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """Text, or the tokens of one action."""

    line: int
    text: str = ""
    tokens: tuple[Token, ...] | None = None


def pieces(source: str) -> Iterator[Piece]:
    """Yield texts and actions in order, with blanks trimmed where the braces say so.

    Raises:
        TemplateProblem: a brace is never closed, or something in one is no token.
    """
    at, line, trim, count = 0, 1, False, 0
    while at < len(source):
        count += 1
        if count > MOST_PIECES:
            raise TemplateProblem(f"more than {MOST_PIECES} actions")
        opened = _OPEN.search(source, at)
        text = source[at : opened.start() if opened else None]
        shown = text.lstrip(" \t\r\n") if trim else text
        if opened and opened.group(1):
            shown = shown.rstrip(" \t\r\n")
        if shown:
            yield Piece(line, shown)
        line += text.count("\n")
        if not opened:
            return
        at, trim, tokens = _action(source, opened.end(), line)
        if tokens:
            yield Piece(line, tokens=tokens)
        line += source.count("\n", opened.start(), at)


def _action(source: str, at: int, line: int) -> tuple[int, bool, tuple[Token, ...]]:
    start = at
    while source[at : at + 1].isspace():
        at += 1
    if source.startswith("/*", at):
        end = source.find("*/", at)
        if end < 0:
            raise TemplateProblem(f"a comment is never closed (line {line})")
        at = end + 2
    tokens: list[Token] = []
    glued = False
    while True:
        closing = re.compile(r"(\s-)?\}\}").match(source, at)
        if closing:
            return closing.end(), bool(closing.group(1)), tuple(tokens)
        match = _TOKEN.match(source, at)
        if match is None or len(tokens) > MOST_PIECES:
            where = (
                "is never closed" if at >= len(source) else f"has {source[at : at + 10]!r}, which is no token"
            )
            raise TemplateProblem(f"an action {where} (line {line + source.count(chr(10), start, at)})")
        at = match.end()
        if match.lastgroup == "blank":
            glued = False
            # ` -}}`: the blank belongs to the trimming
            if source.startswith("-}}", at):
                return at + 3, True, tuple(tokens)
            continue
        tokens.append(Token(str(match.lastgroup), match.group(), glued))
        glued = True


def unquoted(text: str) -> str:
    """Return what a Go string or character literal stands for."""
    if text[:1] == "`":
        return text[1:-1].replace("\r", "")
    return _ESCAPE.sub(_character, text[1:-1])


def _character(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number < 0x110000 else "\ufffd"
    if code.isdecimal() and len(code) == 3:
        return chr(int(code, 8))
    return _ESCAPED.get(code, code)
