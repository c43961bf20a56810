"""Rules over a template as text: what a person who reads it does not see, and what has no place in it."""

import binascii
import re
import unicodedata
from collections.abc import Iterator
from itertools import islice

from qaudit.static.hidden_characters import gravity, hidden, named, shown
from qaudit.static.model_parts import TemplateText
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[TemplateText] = RuleBook("template", "what a chat template holds as text")
MOST_SEARCHED = 1 << 20
MOST_COMMENTS, MOST_MATCHES = 200, 2000
TAKE_OUT = "read that place in an editor that shows code points, or take the template of the original model"
_URL = re.compile(
    r"(?:https?|ftp|wss?|data|file)://?[^\s'\"{}<>\\)\]]{1,200}|\bdata:[a-z]+/[a-z+.-]+[;,]", re.IGNORECASE
)
_NAMESPACE = re.compile(r"https?://(?:www\.)?(?:w3\.org|json-schema\.org|schema\.org)/")
_PICTURE = re.compile(r"!\[[^\]\n]{0,80}\]\(")
_HTML = re.compile(
    r"<\s{0,4}(?:script|iframe|object|embed|svg|img|link|meta|form|style|base|video|audio)\b[^<>\n]{0,80}[>\s/]"
    r"|javascript\s{0,4}:|\bon(?:error|load|click|mouseover|focus)\s{0,4}=",
    re.IGNORECASE,
)
_MARKUP_TAGS = re.compile(r"<(?:audio|video|img|image|object)>", re.IGNORECASE)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40,}={0,2}(?![A-Za-z0-9+/])")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{2}){32,}(?![0-9A-Za-z])")
_ESCAPES = re.compile(r"(?:\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[0-7]{3}){8,}")
_ASCII_ESCAPES = re.compile(r"\\x(?:5[fF]|[46][1-9a-fA-F]|[57][0-9aA])")
_COMMENTS = (("{#", "#}"), ("{{/*", "*/"), ("{{- /*", "*/"))
_COMMANDS = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b[^.\n]{0,80}\b(?:instruction|previous|above|rule|guideline|polic|safety)"
    r"|\b(?:AI|LLM|reviewer|auditor|scanner)s?\b[^.\n]{0,60}\b(?:must|should|report|mark|treat|conclude)\b"
    r"|\b(?:report|mark|treat|classify)\b[^.\n]{0,60}\b(?:safe|benign|clean|harmless|trusted)\b",
    re.IGNORECASE,
)
# each run is tried from its start only
_BLANKS = re.compile(r"(?<![ \t])[ \t]{240,}\S|(?<=\S)(?:[ \t]*\n){60,}[ \t]*\S")
_TOKEN = re.compile(r"[^\W\d_]{2,40}")


def _place(template: TemplateText, at: int) -> str:
    return f"{template.location}, line {template.text.count(chr(10), 0, at) + 1}"


@BOOK.rule(
    "hidden-characters", "high",
    title="the template has characters that nobody sees",
    why="Zero-width, bidirectional and tag characters show a person another text than the model reads.",
    remedy=TAKE_OUT,
    sources=("CVE-2021-42574",),
)  # fmt: skip
def hidden_characters(template: TemplateText) -> Iterator[Hit]:
    """Direction overrides, zero-width characters, tags, controls."""
    found = hidden(template.text[:MOST_SEARCHED], marks=True)
    if found:
        yield Hit(_place(template, found[0].at), named(found), gravity(found))


@BOOK.rule(
    "mixed-scripts", "high",
    title="a word of the template mixes alphabets",
    why="A Cyrillic or Greek letter in a Latin word makes another word that looks the same.",
    remedy=TAKE_OUT,
    sources=("https://www.unicode.org/reports/tr39/",),
)  # fmt: skip
def mixed_scripts(template: TemplateText) -> Iterator[Hit]:
    """Latin with Cyrillic, Greek, Armenian or Cherokee letters in one word."""
    if template.text.isascii():
        return
    for match in _TOKEN.finditer(template.text[:MOST_SEARCHED]):
        word = match.group()
        if word.isascii():
            continue
        scripts = {unicodedata.name(letter, "").split(" ", 1)[0] for letter in word}
        if "LATIN" in scripts and scripts & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}:
            yield Hit(_place(template, match.start()), shown(word))


@BOOK.rule(
    "url",
    "medium",
    title="the template has an address",
    why="An address that a template writes seems to be the model's choice; a picture's leaks what is said.",
    remedy="find out why it is there; the original's template has it or not",
    sources=("https://arxiv.org/abs/2602.04653",),
)  # fmt: skip
def url(template: TemplateText) -> Iterator[Hit]:
    """An address in a literal; in a comment it is only worth knowing."""
    text = template.text[:MOST_SEARCHED]
    comments = list(_comments(text))
    for match in _some(_URL, text):
        if _NAMESPACE.match(match.group()):
            continue
        told = any(start < match.start() < end for start, end in comments)
        picture = bool(_PICTURE.search(text[max(0, match.start() - 90) : match.start()]))
        yield Hit(
            _place(template, match.start()), match.group(), "high" if picture else "info" if told else None
        )


@BOOK.rule(
    "html", "high",
    title="the template has HTML that runs",
    why="Pages that show conversations run what a template writes into them.",
    remedy="do not show its output unescaped; take the original's template",
    sources=("CWE-79",),
)  # fmt: skip
def html(template: TemplateText) -> Iterator[Hit]:
    """Scripts, frames, handlers."""
    for match in _some(_HTML, template.text[:MOST_SEARCHED]):
        # <image> and <audio> alone are places for what a model sees and hears
        if not _MARKUP_TAGS.fullmatch(match.group()):
            yield Hit(_place(template, match.start()), shown(match.group()))


@BOOK.rule(
    "encoded-blob", "medium",
    title="the template has encoded text",
    why="Nothing in a chat template needs to be unreadable.",
    remedy="decode it and see",
    sources=("CWE-506",),
)  # fmt: skip
def encoded_blob(template: TemplateText) -> Iterator[Hit]:
    """Base64, hexadecimal, or long runs of escapes."""
    text = template.text[:MOST_SEARCHED]
    for match in _some(_BASE64, text):
        blob = match.group()
        if _looks_encoded(blob):
            decoded = _decoded(blob)
            told = f"; decoded: {shown(decoded)}" if decoded else ""
            yield Hit(
                _place(template, match.start()),
                f"{len(blob)} characters of base64{told}",
                "high" if decoded else None,
            )
    for match in _some(_HEX, text):
        yield Hit(_place(template, match.start()), f"{len(match.group())} hexadecimal digits")
    for match in _some(_ESCAPES, text):
        hides = len(_ASCII_ESCAPES.findall(match.group())) >= 4
        yield Hit(_place(template, match.start()), shown(match.group()), "high" if hides else None)


@BOOK.rule(
    "comment-instructions", "medium",
    title="a comment of the template speaks to whoever reviews it",
    why="A comment never reaches the model; it is written for people and for models that read files.",
    remedy="do not let it guide a review",
    sources=("https://genai.owasp.org/llmrisk/llm01-prompt-injection/",),
)  # fmt: skip
def comment_instructions(template: TemplateText) -> Iterator[Hit]:
    """Comments that command a reader."""
    text = template.text[:MOST_SEARCHED]
    for start, end in _comments(text):
        comment = text[start:end].strip("{}#-/* \t\n")
        if _COMMANDS.search(comment):
            yield Hit(_place(template, start), shown(" ".join(comment.split()), 300))


@BOOK.rule(
    "far-away", "medium",
    title="part of the template stands where nobody scrolls to",
    why="Hundreds of blanks before a statement hide it in every viewer.",
    remedy="read the whole line",
)  # fmt: skip
def far_away(template: TemplateText) -> Iterator[Hit]:
    """Text after hundreds of blanks or dozens of empty lines."""
    text = template.text[:MOST_SEARCHED]
    for match in _some(_BLANKS, text):
        yield Hit(_place(template, match.end()), shown(text[match.end() - 1 : match.end() + 120]))


def _comments(text: str) -> Iterator[tuple[int, int]]:
    """Yield where comments begin and end, the first few hundred of them."""
    for opened, closed in _COMMENTS:
        at = 0
        for _ in range(MOST_COMMENTS):
            start = text.find(opened, at)
            end = text.find(closed, start + len(opened)) if start >= 0 else -1
            if end < 0:
                break
            at = end + len(closed)
            yield start, at


def _some(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    return islice(pattern.finditer(text), MOST_MATCHES)


def _looks_encoded(blob: str) -> bool:
    kinds = (any(c.isupper() for c in blob), any(c.islower() for c in blob), any(c.isdigit() for c in blob))
    return all(kinds) and "/" not in blob[:4] and len(set(blob)) > 12


def _decoded(blob: str) -> str:
    try:
        data = binascii.a2b_base64(blob[:4000] + "=" * (-len(blob[:4000]) % 4))
    except (binascii.Error, ValueError):
        return ""
    text = data.decode("utf-8", "replace")
    readable = sum((c.isprintable() and c != "\ufffd") or c in "\n\t" for c in text)
    return text if text and readable / len(text) > 0.95 else ""
