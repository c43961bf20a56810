"""Rules over what is written in code that comes with a model, and over code that is no Python."""

import re
from collections.abc import Iterator

from qaudit.static.hidden_characters import hidden, named
from qaudit.static.repository.code_book import BOOK, READ, CodeFile, at
from qaudit.static.repository.code_names import DECODES, DROPS, SECRETS, TOKENS
from qaudit.static.rules import Hit


@BOOK.rule(
    "secrets",
    "high",
    title="Code names places where secrets are kept",
    why="Keys, credentials and addresses of a cloud's metadata are of no use to a model, and of much to "
    "a thief.",
    remedy=READ,
)
def _secrets(code: CodeFile) -> Iterator[Hit]:
    for line, text in code.python.texts if code.python else ():
        if (match := SECRETS.search(text)) is not None:
            yield Hit(at(code, line), f"{match[0]!a} in {text[:120]!a}")
        elif text in TOKENS:
            yield Hit(at(code, line), f"the name of a secret: {text!a}", "medium")
    for call in code.python.calls if code.python else ():
        if call.handed == "os.environ":
            yield Hit(at(code, call.line), f"all of os.environ is given to {call.name}", "medium")


@BOOK.rule(
    "drop-address",
    "high",
    title="Code names an address where stolen data or payloads are left",
    why="Webhooks, paste sites, tunnels and bare addresses are where malware sends to and fetches from.",
    remedy=READ,
)
def _drops(code: CodeFile) -> Iterator[Hit]:
    for line, text in code.python.texts if code.python else ():
        if (match := DROPS.search(text)) is not None:
            yield Hit(at(code, line), f"{match[0]!a}")


@BOOK.rule(
    "encoded-literal",
    "medium",
    title="Code carries a long encoded text",
    why="What it holds cannot be read where it stands; kernels are packed so at times, and payloads.",
    remedy="decode it and look at what it holds",
)
def _literal(code: CodeFile) -> Iterator[Hit]:
    if code.python is None or not any(DECODES.match(call.name) for call in code.python.calls):
        return
    for line, length in code.python.literals:
        yield Hit(at(code, line), f"{length} characters without words, and the file decodes something")


@BOOK.rule(
    "disguised-source",
    "high",
    title="Source code is not what it looks like",
    why="Characters that turn the direction of writing, or an encoding that Python decodes first, show a "
    "person "
    "other code than Python runs.",
    remedy=READ,
    sources=("CVE-2021-42574",),
)
def _disguised(code: CodeFile) -> Iterator[Hit]:
    found = [
        item
        for item in hidden(code.text)
        if item.kind in ("direction", "tag") or item.code in (0x200B, 0x2060)
    ]
    if found:
        yield Hit(code.name, named(found))
    if code.python and code.python.encoding not in (
        "utf-8",
        "utf8",
        "ascii",
        "latin-1",
        "iso-8859-1",
        "utf-8-sig",
    ):
        yield Hit(code.name, f"says that it is encoded in {code.python.encoding[:40]!a}")


@BOOK.rule(
    "unreadable-source",
    "medium",
    title="A Python file cannot be read as Python",
    why="Whatever is in it was not looked at; for Python 2 it may still run.",
    remedy=READ,
)
def _unreadable(code: CodeFile) -> Iterator[Hit]:
    if code.python and code.python.problem:
        risky = re.search(
            r"\b(?:exec|eval|__import__)\s*\(|os\.system|subprocess|base64|socket", code.python.text
        )
        told = f"{code.python.problem[:200]}{f'; it holds {risky[0]!a}' if risky else ''}"
        yield Hit(code.name, told, "high" if risky else None)


@BOOK.rule(
    "shell-command",
    "high",
    title="A script runs what no installation of a model needs",
    why="Fetching and running in one go, opening a shell to another machine, or writing to start-up files.",
    remedy="read it before anybody runs it",
)
def _shell(code: CodeFile) -> Iterator[Hit]:
    for command in code.commands:
        yield Hit(at(code, command.line), f"{command.what}: {command.text[:200]!a}", command.severity)


@BOOK.rule(
    "native-program",
    "high",
    title="A program or library lies beside the model",
    why="Native code can do anything and cannot be read; a model is numbers and texts.",
    remedy="do not run or load it; ask what it is for",
)
def _program(code: CodeFile) -> Iterator[Hit]:
    if code.what == "native":
        yield Hit(code.name, f"is {code.content or 'native code by its name'}")


@BOOK.rule(
    "active-output",
    "medium",
    title="A notebook's saved outputs hold a program",
    why="Scripts in saved outputs run in the browser of whoever opens the notebook as trusted.",
    remedy="clear the outputs before opening it",
)
def _active(code: CodeFile) -> Iterator[Hit]:
    for told in code.active:
        yield Hit(code.name, told)


@BOOK.rule(
    "present",
    "info",
    title="Code comes with the model",
    why="It runs when somebody imports or runs it, which trust_remote_code does by itself.",
    remedy=READ,
)
def _present(code: CodeFile) -> Iterator[Hit]:
    if code.what != "native":
        told = (
            "a library imports it when the model is loaded with trust_remote_code"
            if code.loaded
            else code.what
        )
        yield Hit(code.name, told, "low" if code.loaded or code.what != "python" else None)
