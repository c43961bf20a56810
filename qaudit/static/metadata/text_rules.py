"""Rules on texts in a header: what people and programs read as a name, a licence, a description."""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import urlsplit

from qaudit.static.carried import carried_file, gravest
from qaudit.static.gguf.string_array import StringArray
from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.hidden_characters import gravity, hidden, named, shown
from qaudit.static.kinds import HEAD_BYTES
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.reader_orders import order_in
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.vocabulary.markers import ROLE_MARKERS

BOOK: RuleBook["Texts"] = RuleBook("metadata-text", "Names, descriptions and other texts.")

MOST_STRINGS = 20_000
MAX_READ = 1 << 16  # characters of one text
SHORT = 40  # characters; below that an encoded run is not told from a word
MAX_ALL = 1 << 19  # characters of all texts together
# these are judged by rules of their own
_TEMPLATE = "tokenizer.chat_template"
_ELSEWHERE = (f"{_TEMPLATE}.", "tokenizer.huggingface.json", "tokenizer.rwkv.")
_TOKENS = "tokenizer.ggml."  # lists of tokens and merges
_ACTIVE = LazyPattern(
    r"<\s{0,3}(?:script|iframe|object|embed|svg|img|link|meta|form)\b[^>]{0,200}|\bon(?:error|load|click|mouseover)\s{0,3}="
    r"|javascript:|vbscript:|data:text/html",
    re.IGNORECASE,
)
_ADDRESS = LazyPattern(r"\b([a-z][a-z0-9+.-]{1,15})://([^\s\"'<>()\[\]{}\\^`]{1,400})", re.IGNORECASE)
_HARMLESS_SCHEMES = frozenset({"http", "https", "ftp", "doi", "hf", "huggingface", "git", "s3", "arxiv"})
_NUMBER_HOST = LazyPattern(
    r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\]|0x[0-9a-f]{4,}|\d{6,})", re.IGNORECASE
)
_COMMAND = LazyPattern(
    r"\b(?:curl|wget)\b[^\n|]{0,200}\|\s{0,3}(?:sudo\s+)?(?:ba|z|da)?sh\b|\bpowershell\b[^\n]{0,40}-e(?:nc|ncodedcommand)?\b"
    r"|\$\((?:curl|wget|bash|sh)\b|`(?:curl|wget|bash|sh)\b|\bimport\s+os\b|\bos\.system\(|\b__import__\(|\bsubprocess\.",
    re.IGNORECASE,
)
_PART = LazyPattern(r"[A-Za-z0-9+/_=-]{16,}")
_BRACES = LazyPattern(r"\{\{[^{}]{0,200}\}\}|\{%[^{}]{0,200}%\}|\$\{jndi:")


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a header that are not a template's or a token's.

    Attributes:
        found: place and text, strings of arrays one by one.
        cut: places of texts of which only the beginning is judged.
        more: texts that are not judged at all.
        joined: lists whose strings are too short to say anything each, as one text.
        files: places of lists of bytes that begin like a program or an archive, and which.
    """

    found: tuple[tuple[str, str], ...]
    cut: tuple[tuple[str, int], ...]
    more: int
    joined: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()


def texts(walk: GgufWalk) -> Texts:
    """Collect them, the first `MAX_READ` characters of each and `MAX_ALL` in all."""
    found: list[tuple[str, str]] = []
    cut: list[tuple[str, int]] = []
    left, more = MAX_ALL, 0
    for place, value in _strings(walk):
        if left <= 0 or len(found) >= MOST_STRINGS:
            more += 1
            continue
        text = (
            value[:MAX_READ].decode("utf-8", "surrogateescape")
            if isinstance(value, bytes)
            else value[:MAX_READ]
        )
        if len(value) > MAX_READ:
            cut.append((place, len(value)))
        left -= len(text)
        found.append((place, text))
    return Texts(tuple(found), tuple(cut), more, tuple(_joined(found)), tuple(_files(walk)))


def _joined(found: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Give each list of strings as one text; strings that are long stand for themselves."""
    for place, several in groupby(found, key=lambda item: item[0].rpartition("[")[0]):
        parts = [text for _, text in several if place]
        if len(parts) > 1 and max(map(len, parts)) < SHORT:
            yield place, "".join(parts)
    # one run in the values of keys that stand one after another
    runs = [(place, text) for place, text in found if ":general." not in place and _PART.fullmatch(text)]
    if len(runs) > 1:
        yield runs[0][0], "".join(text for _, text in runs)


def _files(walk: GgufWalk) -> Iterator[tuple[str, str]]:
    for key, value in walk.metadata.items():
        if isinstance(value, array) and value.typecode not in "fd" and len(value) > 3:
            head = value[:HEAD_BYTES]
            # one byte in each number, or numbers of four bytes that are bytes as they lie
            small = bytes(n & 0xFF for n in head) if all(-129 < n < 256 for n in head) else b""
            what = carried_file(small or head.tobytes())
            if what:
                yield f"{walk.name}:{key}", what


def _strings(walk: GgufWalk) -> Iterator[tuple[str, str | bytes]]:
    for key, value in walk.metadata.items():
        if key.startswith(_ELSEWHERE) or key == _TEMPLATE:
            continue
        if isinstance(value, str):
            yield f"{walk.name}:{key}", value
        elif isinstance(value, StringArray) and not key.startswith(_TOKENS):
            for index, item in enumerate(value):
                yield f"{walk.name}:{key}[{index}]", item


@BOOK.rule(
    "hidden-characters",
    "high",
    title="a text holds characters that nobody sees",
    why="What a person reads is not what a program or a model gets; terminals obey control characters.",
    remedy="do not trust what the file says of itself",
    sources=("https://trojansource.codes/",),
)
def _hidden(subject: Texts) -> Iterator[Hit]:
    for place, text in subject.found:
        # what is NUL or no UTF-8 is told by the rules on the file's structure
        found = [item for item in hidden(text, marks=True) if item.code]
        if found:
            yield Hit(place, f"{named(found)} in {shown(text)}", gravity(found))


@BOOK.rule(
    "not-utf8",
    "medium",
    title="a text is not UTF-8",
    why="The format asks for UTF-8; programs differ in what they show instead.",
    remedy="convert the original model again",
    sources=("https://github.com/ggml-org/ggml/blob/master/docs/gguf.md",),
)
def _not_utf8(subject: Texts) -> Iterator[Hit]:
    for place, text in subject.found:
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            yield Hit(place, shown(text))


@BOOK.rule(
    "orders",
    "high",
    title="a text gives orders to whoever reads it",
    why="Model cards and catalogues are read by language models; a description can hold orders for them.",
    remedy="do not give the file's own texts to a model",
    sources=("https://genai.owasp.org/llmrisk/llm01-prompt-injection/",),
)
def _orders(subject: Texts) -> Iterator[Hit]:
    for place, text in subject.found:
        key = place.rpartition(":")[2]
        if found := order_in(text, prompt="prompt" in key or "system" in key):
            yield Hit(place, shown(found[1]), found[0])


@BOOK.rule(
    "role-markers",
    "high",
    title="a text holds role markers",
    why="Put into a prompt, the text opens a turn of its own.",
    remedy="do not give the file's own texts to a model",
)
def _markers(subject: Texts) -> Iterator[Hit]:
    for place, text in subject.found:
        held = (
            sorted(marker for marker in ROLE_MARKERS if marker in text) if "<" in text or "[" in text else []
        )
        # the prompt format is described in cards, and one marker by itself is no turn
        if held:
            general = ":general." in place and ".description" not in place
            yield Hit(place, f"{', '.join(held)[:200]} in {shown(text)}", None if general else "medium")


@BOOK.rule(
    "active-content",
    "high",
    title="a text holds what a browser or a shell would run",
    why="Catalogues and web interfaces show these texts.",
    remedy="do not show the file's own texts unescaped",
)
def _active(subject: Texts) -> Iterator[Hit]:
    for place, text in subject.found:
        for pattern in (_ACTIVE, _COMMAND, _BRACES):
            match = pattern.search(text)
            if match:
                yield Hit(place, shown(match[0]))
                break


@BOOK.rule(
    "odd-address",
    "medium",
    title="a text holds an address that is no web page's",
    why="Numbers for a host, names and passwords in front of it, or other schemes are how people are led "
    "elsewhere.",
    remedy="do not follow it",
)
def _addresses(subject: Texts) -> Iterator[Hit]:
    for place, text in subject.found:
        for match in _ADDRESS.finditer(text):
            why = _odd(match[0])
            if why:
                yield Hit(place, f"{shown(match[0], 120)}: {why}")


def _odd(address: str) -> str:
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return "no address at all"
    if parts.scheme.lower() not in _HARMLESS_SCHEMES:
        return f"the scheme {shown(parts.scheme)}"
    if _NUMBER_HOST.compiled.fullmatch(host):
        return "the host is a number"
    if parts.username or parts.password:
        return "a name or password before the host"
    if "xn--" in host or not host.isascii():
        return "the host is not ASCII"
    return ""


@BOOK.rule(
    "blob",
    "medium",
    title="a text holds a run of encoded bytes",
    why="Whatever it is, it is not a text; a program beside the file can decode and run it. One that decodes "
    "to a program, an archive, a pickle or code is high.",
    remedy="ask what it is for",
    sources=("CWE-506",),
)
def _blobs(subject: Texts) -> Iterator[Hit]:
    for place, text in subject.found:
        yield from _blob(place, text)
    for place, text in subject.joined:
        # languages, tags and labels are a long run too
        yield from (hit for hit in _blob(place, text) if hit.severity)


def _blob(place: str, text: str) -> Iterator[Hit]:
    if payload := gravest(text):
        told = f"{payload.told()}: {shown(text[payload.at :], 60)}"
        yield Hit(place, told, "high" if payload.what else None)


@BOOK.rule(
    "carried-file",
    "high",
    title="a list of numbers is a file",
    why="Loaders keep lists of keys that they do not know, so that a program or pickle travels along unseen.",
    remedy="do not load it; look at the bytes",
    sources=("CWE-506",),
)
def _carried(subject: Texts) -> Iterator[Hit]:
    for place, what in subject.files:
        yield Hit(place, f"begins like {what}")


@BOOK.rule(
    "long-text",
    "medium",
    title="a text is very long",
    why="Names are short; longer texts carry something else, and only their beginning is judged.",
    remedy="read it before a model does",
)
def _long(subject: Texts) -> Iterator[Hit]:
    for place, length in subject.cut:
        yield Hit(place, f"{length:,} characters, {MAX_READ:,} were judged")
