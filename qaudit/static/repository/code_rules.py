"""Rules over what code that comes with a model calls when it is imported, called or run."""

from collections.abc import Iterator

from qaudit.findings import Severity
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.repository.code_book import BOOK, READ, CodeFile, at
from qaudit.static.repository.code_names import (
    CHANGES,
    DECODES,
    DYNAMIC,
    NATIVE,
    NETWORK,
    RUNS,
    TAKES_CODE,
    UNPICKLES,
)  # fmt: skip
from qaudit.static.repository.python_walk import CodeCall
from qaudit.static.rules import Hit

_VLLM = ("CVE-2025-66448", "CVE-2026-22807")


def _matching(code: CodeFile, pattern: LazyPattern[str]) -> Iterator[CodeCall]:
    return (call for call in (code.python.calls if code.python else ()) if pattern.match(call.name))


def _graded(
    call: CodeCall, code: CodeFile, on_import: Severity, when_used: Severity, else_: Severity
) -> Severity:
    return on_import if call.when == "import" else when_used if code.loaded and call.when == "call" else else_


def _told(call: CodeCall) -> str:
    when = {"import": "when the file is imported", "main": "when it is run", "call": "in a function"}[
        call.when
    ]
    argument = f" with {call.argument!a}" if call.argument else ""
    return f"{call.name}{argument}, {when}"


@BOOK.rule(
    "runs-commands",
    "high",
    title="Code beside the model runs commands or code it is given",
    why="With trust_remote_code, or in a serving container, this file is imported and run with the rights of "
    "whoever loads the model. Modelling code has no need of a shell or of eval.",
    remedy=READ,
    sources=_VLLM,
)
def _runs(code: CodeFile) -> Iterator[Hit]:
    for call in _matching(code, RUNS):
        severity = _graded(call, code, "critical", "high", "medium")
        yield Hit(at(code, call.line), _told(call), "critical" if call.computed else severity)
    for line, name in code.python.handed_on if code.python else ():
        yield Hit(at(code, line), f"{name} is handed on under another name")


@BOOK.rule(
    "decoded-payload",
    "critical",
    title="Code runs what it first decodes, decompresses or fetches",
    why="The code that runs is not the code that can be read in the file.",
    remedy=READ,
)
def _payload(code: CodeFile) -> Iterator[Hit]:
    for call in code.python.calls if code.python else ():
        if call.name in TAKES_CODE:
            decoded = next((name for name in call.fed if DECODES.match(name)), None)
            if decoded:
                yield Hit(at(code, call.line), f"{call.name} of what {decoded} gives")


@BOOK.rule(
    "hidden-name",
    "high",
    title="Code hides what it calls",
    why="A name that is put together from pieces, or fetched from the interpreter's insides, is written "
    "so that "
    "a search for it finds nothing.",
    remedy=READ,
)
def _hidden_name(code: CodeFile) -> Iterator[Hit]:
    if code.python is None:
        return
    for call in code.python.calls:
        listed = RUNS.match(call.name) or NETWORK.match(call.name) or NATIVE.match(call.name)
        if call.computed and listed:
            yield Hit(at(code, call.line), f"{call.name} by a roundabout way")
        elif call.name in DYNAMIC and not call.argument:
            severity: Severity = "medium" if call.when == "import" else "low"
            yield Hit(
                at(code, call.line), f"{call.name} of a module whose name is not written there", severity
            )
    for line, name in code.python.odd:
        yield Hit(at(code, line), f"reaches for {name}")


@BOOK.rule(
    "network",
    "medium",
    title="Code beside the model talks to a network",
    why="Loading a model that is already there needs no network: code can fetch what it runs, or send away "
    "what it sees.",
    remedy=READ,
)
def _network(code: CodeFile) -> Iterator[Hit]:
    for call in _matching(code, NETWORK):
        severity = _graded(call, code, "high", "medium", "low")
        yield Hit(at(code, call.line), _told(call), severity)


@BOOK.rule(
    "native-load",
    "medium",
    title="Code loads or builds native code",
    why="A library that is loaded runs at once and can do anything; no scanner of Python sees into it.",
    remedy=READ,
)
def _native_load(code: CodeFile) -> Iterator[Hit]:
    for call in _matching(code, NATIVE):
        yield Hit(at(code, call.line), _told(call), _graded(call, code, "high", "medium", "low"))


@BOOK.rule(
    "unpickles",
    "medium",
    title="Code unpickles",
    why="Unpickling runs what the pickle says; pickles beside the model may look harmless until this file "
    "loads them.",
    remedy=READ,
    sources=("CVE-2025-32434", "CVE-2026-1839"),
)
def _unpickles(code: CodeFile) -> Iterator[Hit]:
    for call in _matching(code, UNPICKLES):
        safe = call.keywords.get("weights_only") is True or str(call.keywords.get("Loader")).endswith(
            "SafeLoader"
        )
        if safe or (call.name == "numpy.load" and call.keywords.get("allow_pickle") is not True):
            continue
        bytecode = call.name.startswith("marshal")
        severity: Severity = "high" if bytecode else _graded(call, code, "high", "medium", "low")
        yield Hit(at(code, call.line), _told(call), severity)


@BOOK.rule(
    "changes-system",
    "medium",
    title="Importing the file changes files, threads or the interpreter",
    why="What happens on import happens before anybody has asked the model anything.",
    remedy=READ,
)
def _changes(code: CodeFile) -> Iterator[Hit]:
    for call in code.python.calls if code.python else ():
        if call.when != "import":
            continue
        written = (
            call.name in ("open", "io.open", "os.open") and str(call.keywords.get("mode", "r"))[:1] in "wax"
        ) or call.name.endswith((".write_text", ".write_bytes"))
        if CHANGES.match(call.name) or written:
            yield Hit(at(code, call.line), _told(call))
