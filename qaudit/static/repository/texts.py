"""Readmes, licences, lists of dependencies: what they hide, and what they ask their readers to do."""

import re
from collections.abc import Iterator
from typing import Final

from qaudit.static.admissions import ADMISSION
from qaudit.static.hidden_characters import hidden, named
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.reader_orders import READERS, manner
from qaudit.static.repository.download import Note
from qaudit.static.repository.shell_text import commands_in

MAX_TEXT: Final = 1 << 20
# installers that projects publish themselves to be piped into a shell
_INSTALLERS: Final = LazyPattern(
    r"https?://(?:[\w-]+\.)*(?:ollama\.(?:com|ai)|astral\.sh|rustup\.rs|lmstudio\.ai|brew\.sh|conda\.io|"
    r"install\.python-poetry\.org|deb\.nodesource\.com|get\.docker\.com)(?:[/\s]|$)"
)
_TAGGED: Final = LazyPattern(r"<\|(?:im_start|system|start_header_id|assistant)\|>|\[INST\]|<<SYS>>")
MAX_COMMENTS: Final = 1000
_UNSEEN: Final = LazyPattern(
    r"style\s*=\s*[\"'][^\"']{0,200}(?:display\s*:\s*none|font-size\s*:\s*0|color\s*:\s*(?:white|#fff(?:fff)?|transparent)\b|"
    r"visibility\s*:\s*hidden|opacity\s*:\s*0(?:[;\"' ]|$))",
    re.IGNORECASE,
)
_FRONT: Final = LazyPattern(r"\A\ufeff?---[ \t]*\r?\n(.{0,60000}?)\n---", re.DOTALL)
MAX_ALIASES: Final = 20
_TRUST: Final = LazyPattern(r"\btrust_remote_code\s*=\s*True\b|--trust-remote-code\b")
_YAML_TAG: Final = LazyPattern(r"!!python/[\w/.:]{1,80}")
_YAML_ALIAS: Final = LazyPattern(r"(?:[\[,:\-]\s*)\*\w")
_KEY: Final = LazyPattern(r"^([A-Za-z_][\w-]{0,60}):[ \t]*(.*)$")
_USUAL_SOURCES: Final = LazyPattern(
    r"https?://(?:download\.pytorch\.org|pypi\.org|files\.pythonhosted\.org|pypi\.nvidia\.com|pypi\.python\.org)/"
)
_ELSEWHERE: Final = LazyPattern(
    r"^\s*(?:-e\s+|--editable[ =])?(?:[\w.\[\],-]{0,80}\s*@\s*)?((?:git|hg|svn|bzr)\+\S{1,300}|(?:https?|ftp|file)://\S{1,300})|"
    r"^\s*(?:--(?:extra-)?index-url|-i|--find-links|-f|--trusted-host)[ =]+(\S{1,300})|"
    r"^\s*[-\"'\w.\[\],]{0,80}\s*@\s*((?:git\+|https?://)\S{1,300})"
)


def is_dependency_list(path: str) -> bool:
    """Return whether a file lists what is to be installed."""
    leaf = path.rpartition("/")[2].lower()
    return bool(
        re.fullmatch(r".*requirements.*\.(?:txt|in)|constraints.*\.txt|environment.*\.ya?ml|pipfile", leaf)
    )


def dependency_notes(path: str, text: str) -> Iterator[Note]:
    """Yield the dependencies that come from elsewhere than the package index."""
    for number, line in enumerate(text.splitlines()[:20_000], 1):
        match = _ELSEWHERE.match(
            line[:1000].lstrip("- \t") if line.lstrip().startswith("- ") else line[:1000]
        )
        source = next((group for group in match.groups() if group), "") if match else ""
        if source and not _USUAL_SOURCES.match(source):
            plain = source.startswith(("http://", "ftp://")) or "trusted-host" in line or "index-url" in line
            code = "dependency-url=high" if plain and not source.startswith("https") else "dependency-url"
            yield Note(code, f"{path}:{number}", line.strip()[:200])


def readme_notes(path: str, text: str) -> Iterator[Note]:
    """Yield what a page for readers hides, orders or asks to be run."""
    found = [item for item in hidden(text) if item.at or item.code != 0xFEFF]
    loud = [item for item in found if item.kind in ("direction", "tag", "selector")]
    if loud:
        yield Note("hidden-text", path, named(loud))
    elif len(found) > 20:
        yield Note("hidden-text=medium", path, named(found))
    elif found:
        yield Note("hidden-text=low", path, named(found))
    for match in _few(match for match in READERS.finditer(text) if manner(match)):
        grade = "medium" if manner(match) == "outright" else "low"
        yield Note(
            f"reader-instructions={grade}", _line(path, text, match.start()), _around(text, match.start())
        )
    for start, stop in _comments(text):
        inner = READERS.search(text[start:stop]) or _TAGGED.search(text[start:stop])
        if inner:
            place = start + inner.start()
            yield Note(
                "reader-instructions", _line(path, text, place), f"in a comment: {_around(text, place)}"
            )
    for match in _few(_UNSEEN.finditer(text)):
        yield Note(
            "hidden-text=medium",
            _line(path, text, match.start()),
            f"shown to nobody: {_around(text, match.start())}",
        )
    admits = ADMISSION.search(text)
    if admits:
        yield Note("admits", _line(path, text, admits.start()), _around(text, admits.start()))
    trust = _TRUST.search(text)
    if trust:
        yield Note("asks-for-trust", _line(path, text, trust.start()), _around(text, trust.start()))
    yield from _front_notes(path, text)
    for command in commands_in(text):
        usual = command.what == "fetches and runs in one go" and _INSTALLERS.search(command.text)
        severity = "info" if usual else "high" if command.severity == "critical" else "medium"
        yield Note(
            f"readme-command={severity}", f"{path}:{command.line}", f"{command.what}: {command.text[:200]!a}"
        )


def _front_notes(path: str, text: str) -> Iterator[Note]:
    """Yield what is wrong with the YAML between the first two lines of dashes; a hub's page is made of it."""
    if not text.lstrip("\ufeff").startswith("---"):
        return
    front = _FRONT.match(text)
    if front is None:
        yield Note("front-matter", f"{path}:1", "does not end")
        return
    if (tag := _YAML_TAG.search(front[1])) is not None:
        yield Note("front-matter=high", f"{path}:1", f"makes an object of a program: {tag[0]!a}")
    aliases = sum(1 for _ in _YAML_ALIAS.finditer(front[1]))
    if aliases > MAX_ALIASES:
        yield Note(
            "front-matter=medium", f"{path}:1", f"{aliases} references back, which grow when they are read"
        )
    if front[1].count("[") != front[1].count("]") or front[1].count("{") != front[1].count("}"):
        yield Note("front-matter", f"{path}:1", "a bracket that is not closed")


def claims_of(text: str) -> dict[str, list[str]]:
    """Return what a readme's front matter says: key -> values; flat lists only, read line by line."""
    front = _FRONT.match(text)
    claims: dict[str, list[str]] = {}
    key = ""
    for line in front[1].splitlines() if front else ():
        match = _KEY.match(line)
        if match:
            key = match[1].lower()
            value = match[2].strip()
            items = value.strip("[]").split(",") if value.startswith("[") else [value]
            claims[key] = [item.strip(" \"'") for item in items if item.strip(" \"'")]
        elif key and line.lstrip().startswith("- ") and len(claims[key]) < 200:
            claims[key].append(line.lstrip()[2:].strip(" \"'"))
    return claims


def _comments(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the comments of a page's HTML begin and end."""
    stop = 0
    for _ in range(MAX_COMMENTS):
        start = text.find("<!--", stop)
        stop = text.find("-->", start) if start >= 0 else -1
        if stop < 0:
            return
        yield start + 4, stop


def _few(matches: Iterator[re.Match[str]], most: int = 20) -> Iterator[re.Match[str]]:
    for number, match in enumerate(matches):
        if number >= most:
            return
        yield match


def _line(path: str, text: str, at: int) -> str:
    return f"{path}:{text.count(chr(10), 0, at) + 1}"


def _around(text: str, at: int) -> str:
    return ascii(" ".join(text[max(0, at - 20) : at + 150].split()))
