"""Rules over code that comes with a model: what it does when it is imported, called or run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from qaudit.findings import Severity
from qaudit.static.hidden_characters import hidden, named
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.repository.python_walk import CodeCall, PythonWalk
from qaudit.static.repository.shell_text import Command
from qaudit.static.rules import Hit, RuleBook

_READ = "read it before anything loads it; never load it with trust_remote_code=True otherwise"
_VLLM = ("CVE-2025-66448", "CVE-2026-22807")
_RUNS: Final = LazyPattern(
    r"(?:exec|eval|execfile|os\.(?:system|popen\w*|exec[lv]\w*|spawn\w+|posix_spawnp?|startfile|dup2)|"
    r"posix\.(?:system|popen|exec\w+)|nt\.system|subprocess\.\w+(?:\.\w+)*|_posixsubprocess\.\w+|pty\.spawn|pty\.fork|"
    r"commands\.\w+|popen2\.\w+|runpy\.run_\w+|code\.(?:interact|InteractiveInterpreter\S*|InteractiveConsole\S*)|"
    r"asyncio\.create_subprocess_\w+|pexpect\.\w+|pip\.(?:main|_internal\S*)|types\.(?:FunctionType|CodeType)|"
    r"sh\.\w+|plumbum\.\S+|fabric\.\S+|invoke\.run|timeit\.(?:timeit|repeat)|cProfile\.run|profile\.run|"
    r"pdb\.run\w*|pydoc\.pipepager|webbrowser\.open\w*)\Z"
)
_NETWORK: Final = LazyPattern(
    r"(?:urllib\.request\.\w+|urllib2\.\w+|urllib3\.\S+|requests\.\w+(?:\(\)\.\w+)?|httpx\.\w+|http\.client\.\w+|"
    r"socket\.(?:socket\S*|create_connection|create_server|getaddrinfo|gethostbyname)|ssl\.\w+|ftplib\.\w+|"
    r"smtplib\.\w+|telnetlib\.\w+|xmlrpc\.client\.\w+|aiohttp\.\S+|websockets?\.\w+|paramiko\.\S+|"
    r"huggingface_hub\.(?:HfApi\S*|upload_\w+|create_\w+)|boto3\.\w+|dns\.resolver\.\w+|torch\.hub\.\w+)\Z"
)
_NATIVE: Final = LazyPattern(
    r"(?:ctypes\.(?:CDLL|PyDLL|WinDLL|OleDLL|cdll\S*|windll\S*|pythonapi\S*)|cffi\.FFI\S*|_ctypes\.dlopen|mmap\.mmap|"
    r"torch\.ops\.load_library|torch\.classes\.load_library|torch\.utils\.cpp_extension\.load\w*|"
    r"importlib\.machinery\.ExtensionFileLoader\S*|imp\.load_dynamic|tensorflow\.load_op_library)\Z"
)
_UNPICKLES: Final = LazyPattern(
    r"(?:c?pickle\.(?:loads?|Unpickler\S*)|_pickle\.loads?|dill\.loads?|cloudpickle\.loads?|joblib\.load|"
    r"marshal\.loads?|shelve\.open|jsonpickle\.decode|torch\.load|numpy\.load|pandas\.read_pickle|"
    r"yaml\.(?:load|unsafe_load|full_load)(?:_all)?)\Z"
)
_DECODES: Final = LazyPattern(
    r"(?:.*b(?:16|32|64|85)decode|.*decodebytes|.*fromhex|.*unhexlify|.*decompress|codecs\.decode|.*\.decrypt|"
    r"marshal\.loads?|pickle\.loads|urllib\.request\.urlopen\S*|requests\.(?:get|post)\S*|.*a2b_\w+)\Z"
)
_CHANGES: Final = LazyPattern(
    r"(?:atexit\.register|sys\.(?:settrace|setprofile|addaudithook|path_hooks\S*|meta_path\S*)|"
    r"site\.(?:addsitedir|get\w*sitepackages)|threading\.Thread|multiprocessing\.Process|signal\.signal|os\.(?:fork|setuid|chmod|kill)|"
    r"os\.(?:remove|unlink|rename|replace|symlink|rmdir|removedirs)|shutil\.(?:rmtree|move|copy\w*))\Z"
)
_TAKES_CODE: Final = frozenset(
    {"exec", "eval", "compile", "marshal.loads", "pickle.loads", "types.FunctionType", "os.system"}
)
_DYNAMIC: Final = frozenset(
    {"__import__", "importlib.import_module", "importlib.__import__", "importlib.reload"}
)
_SECRETS: Final = LazyPattern(
    r"(?:^|[/\\~])(?:\.ssh(?:[/\\]|$)|id_rsa\b|id_ed25519\b|\.aws[/\\]credentials|\.netrc\b|\.kube[/\\]config|"
    r"etc[/\\](?:passwd|shadow)\b|\.git-credentials\b|\.docker[/\\]config\.json|\.gnupg\b|wallet\.dat\b|"
    r"proc[/\\]self[/\\]environ)|\bauthorized_keys\b|\\Login Data\b|169\.254\.169\.254"
)
_TOKENS: Final = frozenset(
    {
        "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY",
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GH_TOKEN",
        "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_SECRET", "WANDB_API_KEY", "PYPI_TOKEN", "NPM_TOKEN",
    }
)  # fmt: skip
_DROPS: Final = LazyPattern(
    r"discord(?:app)?\.com/api/webhooks|api\.telegram\.org/bot|pastebin\.com/raw|\.ngrok(?:-free)?\.(?:io|app)|"
    r"webhook\.site|requestbin|\.oast\.\w+|interact\.sh|burpcollaborator|transfer\.sh|\.onion\b|"
    r"https?://(?!127\.|0\.0\.0\.0|10\.|192\.168\.)\d{1,3}(?:\.\d{1,3}){3}"
)


@dataclass(slots=True)
class CodeFile:
    """One file of code, or one cell after another of a notebook.

    Attributes:
        python: None where it is no Python.
        loaded: whether a library imports or runs it when the model is loaded or used.
        commands: what of it a shell would run that nobody should.
        what: `python`, `script`, `native`, `notebook`.
        active: descriptions of active content in a notebook's outputs.
    """

    name: str
    what: str
    python: PythonWalk | None = None
    loaded: bool = False
    commands: list[Command] = field(default_factory=list)
    content: str = ""
    active: list[str] = field(default_factory=list)
    text: str = ""


BOOK: RuleBook[CodeFile] = RuleBook(
    "code", "code that comes with a model: Python, scripts, notebooks, programs"
)


def _matching(code: CodeFile, pattern: LazyPattern[str]) -> Iterator[CodeCall]:
    return (call for call in (code.python.calls if code.python else ()) if pattern.match(call.name))


def _at(code: CodeFile, line: int) -> str:
    return f"{code.name}:{line}"


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
    remedy=_READ,
    sources=_VLLM,
)
def _runs(code: CodeFile) -> Iterator[Hit]:
    for call in _matching(code, _RUNS):
        severity = _graded(call, code, "critical", "high", "medium")
        yield Hit(_at(code, call.line), _told(call), "critical" if call.computed else severity)
    for line, name in code.python.handed_on if code.python else ():
        yield Hit(_at(code, line), f"{name} is handed on under another name")


@BOOK.rule(
    "decoded-payload",
    "critical",
    title="Code runs what it first decodes, decompresses or fetches",
    why="The code that runs is not the code that can be read in the file.",
    remedy=_READ,
)
def _payload(code: CodeFile) -> Iterator[Hit]:
    for call in code.python.calls if code.python else ():
        if call.name in _TAKES_CODE:
            decoded = next((name for name in call.fed if _DECODES.match(name)), None)
            if decoded:
                yield Hit(_at(code, call.line), f"{call.name} of what {decoded} gives")


@BOOK.rule(
    "hidden-name",
    "high",
    title="Code hides what it calls",
    why="A name that is put together from pieces, or fetched from the interpreter's insides, is written "
    "so that "
    "a search for it finds nothing.",
    remedy=_READ,
)
def _hidden_name(code: CodeFile) -> Iterator[Hit]:
    if code.python is None:
        return
    for call in code.python.calls:
        listed = _RUNS.match(call.name) or _NETWORK.match(call.name) or _NATIVE.match(call.name)
        if call.computed and listed:
            yield Hit(_at(code, call.line), f"{call.name} by a roundabout way")
        elif call.name in _DYNAMIC and not call.argument:
            severity: Severity = "medium" if call.when == "import" else "low"
            yield Hit(
                _at(code, call.line), f"{call.name} of a module whose name is not written there", severity
            )
    for line, name in code.python.odd:
        yield Hit(_at(code, line), f"reaches for {name}")


@BOOK.rule(
    "network",
    "medium",
    title="Code beside the model talks to a network",
    why="Loading a model that is already there needs no network: code can fetch what it runs, or send away "
    "what it sees.",
    remedy=_READ,
)
def _network(code: CodeFile) -> Iterator[Hit]:
    for call in _matching(code, _NETWORK):
        severity = _graded(call, code, "high", "medium", "low")
        yield Hit(_at(code, call.line), _told(call), severity)


@BOOK.rule(
    "native-load",
    "medium",
    title="Code loads or builds native code",
    why="A library that is loaded runs at once and can do anything; no scanner of Python sees into it.",
    remedy=_READ,
)
def _native_load(code: CodeFile) -> Iterator[Hit]:
    for call in _matching(code, _NATIVE):
        yield Hit(_at(code, call.line), _told(call), _graded(call, code, "high", "medium", "low"))


@BOOK.rule(
    "unpickles",
    "medium",
    title="Code unpickles",
    why="Unpickling runs what the pickle says; pickles beside the model may look harmless until this file "
    "loads them.",
    remedy=_READ,
    sources=("CVE-2025-32434", "CVE-2026-1839"),
)
def _unpickles(code: CodeFile) -> Iterator[Hit]:
    for call in _matching(code, _UNPICKLES):
        safe = call.keywords.get("weights_only") is True or str(call.keywords.get("Loader")).endswith(
            "SafeLoader"
        )
        if safe or (call.name == "numpy.load" and call.keywords.get("allow_pickle") is not True):
            continue
        bytecode = call.name.startswith("marshal")
        severity: Severity = "high" if bytecode else _graded(call, code, "high", "medium", "low")
        yield Hit(_at(code, call.line), _told(call), severity)


@BOOK.rule(
    "changes-system",
    "medium",
    title="Importing the file changes files, threads or the interpreter",
    why="What happens on import happens before anybody has asked the model anything.",
    remedy=_READ,
)
def _changes(code: CodeFile) -> Iterator[Hit]:
    for call in code.python.calls if code.python else ():
        if call.when != "import":
            continue
        written = (
            call.name in ("open", "io.open", "os.open") and str(call.keywords.get("mode", "r"))[:1] in "wax"
        ) or call.name.endswith((".write_text", ".write_bytes"))
        if _CHANGES.match(call.name) or written:
            yield Hit(_at(code, call.line), _told(call))


@BOOK.rule(
    "secrets",
    "high",
    title="Code names places where secrets are kept",
    why="Keys, credentials and addresses of a cloud's metadata are of no use to a model, and of much to "
    "a thief.",
    remedy=_READ,
)
def _secrets(code: CodeFile) -> Iterator[Hit]:
    for line, text in code.python.texts if code.python else ():
        if (match := _SECRETS.search(text)) is not None:
            yield Hit(_at(code, line), f"{match[0]!a} in {text[:120]!a}")
        elif text in _TOKENS:
            yield Hit(_at(code, line), f"the name of a secret: {text!a}", "medium")
    for call in code.python.calls if code.python else ():
        if call.handed == "os.environ":
            yield Hit(_at(code, call.line), f"all of os.environ is given to {call.name}", "medium")


@BOOK.rule(
    "drop-address",
    "high",
    title="Code names an address where stolen data or payloads are left",
    why="Webhooks, paste sites, tunnels and bare addresses are where malware sends to and fetches from.",
    remedy=_READ,
)
def _drops(code: CodeFile) -> Iterator[Hit]:
    for line, text in code.python.texts if code.python else ():
        if (match := _DROPS.search(text)) is not None:
            yield Hit(_at(code, line), f"{match[0]!a}")


@BOOK.rule(
    "encoded-literal",
    "medium",
    title="Code carries a long encoded text",
    why="What it holds cannot be read where it stands; kernels are packed so at times, and payloads.",
    remedy="decode it and look at what it holds",
)
def _literal(code: CodeFile) -> Iterator[Hit]:
    if code.python is None or not any(_DECODES.match(call.name) for call in code.python.calls):
        return
    for line, length in code.python.literals:
        yield Hit(_at(code, line), f"{length} characters without words, and the file decodes something")


@BOOK.rule(
    "disguised-source",
    "high",
    title="Source code is not what it looks like",
    why="Characters that turn the direction of writing, or an encoding that Python decodes first, show a "
    "person "
    "other code than Python runs.",
    remedy=_READ,
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
    remedy=_READ,
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
        yield Hit(_at(code, command.line), f"{command.what}: {command.text[:200]!a}", command.severity)


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
    remedy=_READ,
)
def _present(code: CodeFile) -> Iterator[Hit]:
    if code.what != "native":
        told = (
            "a library imports it when the model is loaded with trust_remote_code"
            if code.loaded
            else code.what
        )
        yield Hit(code.name, told, "low" if code.loaded or code.what != "python" else None)
