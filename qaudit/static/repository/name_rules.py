"""Rules over the names of a download's files: what they hide, and what they admit."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from qaudit.static.admissions import LOOKALIKES, admission
from qaudit.static.hidden_characters import gravity, hidden, named
from qaudit.static.kinds import suffix_of
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.repository.download import Download
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[Download] = RuleBook("name", "names of files and models")

_DRIVE: Final = LazyPattern(r"^[A-Za-z]:")
_KNOWN: Final = frozenset(
    {
        "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
        "model.safetensors",
        "chat_template.jinja", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
        "tokenizer.model", "model.safetensors.index.json", "pytorch_model.bin", "readme.md", "modelfile",
        "quantize_config.json", "preprocessor_config.json", "license", ".gitattributes",
    }
)  # fmt: skip
_PLAIN: Final = frozenset(
    {
        ".gguf",
        ".safetensors",
        ".bin",
        ".pt",
        ".json",
        ".txt",
        ".md",
        ".jinja",
        ".py",
        ".model",
        ".png",
        ".jpg",
        ".pdf",
    }
)
_RUNS: Final = frozenset(
    {
        ".exe",
        ".scr",
        ".com",
        ".bat",
        ".cmd",
        ".ps1",
        ".vbs",
        ".js",
        ".hta",
        ".lnk",
        ".sh",
        ".msi",
        ".jar",
        ".so",
        ".dll",
    }
)
_AGAIN = "do not load it; get it again from its author"


def _paths(download: Download) -> Iterator[str]:
    return (entry.path for entry in download.folder.entries)


@BOOK.rule(
    "hidden-characters",
    "high",
    title="A file's name holds characters that nobody sees",
    why="Characters that turn the direction of writing make `gnp.exe` read as a picture; others make two "
    "names "
    "look like one.",
    remedy=_AGAIN,
    sources=("CVE-2021-42574",),
)
def _invisible(download: Download) -> Iterator[Hit]:
    for path in _paths(download):
        found = hidden(path, marks=True)
        lines = [f"U+{ord(character):04X}" for character in path if character in "\t\n\r\v\f\u2028\u2029\x85"]
        if lines:
            yield Hit(ascii(path), f"{', '.join(lines[:5])}: a name of more than one line, or with a tab")
        elif found:
            yield Hit(ascii(path), named(found), gravity(found))
        elif any(0xDC80 <= ord(character) <= 0xDCFF for character in path):
            yield Hit(ascii(path), "is not UTF-8", "medium")


@BOOK.rule(
    "lookalike",
    "high",
    title="A file's name imitates that of another",
    why="Letters of another script look like Latin ones: the file that a person checks is not the one "
    "that is loaded.",
    remedy=_AGAIN,
    sources=("https://www.unicode.org/reports/tr39/",),
)
def _lookalike(download: Download) -> Iterator[Hit]:
    seen: dict[str, str] = {}
    for path in _paths(download):
        skeleton = unicodedata.normalize("NFKC", path).casefold().translate(LOOKALIKES)
        leaf = path.rpartition("/")[2]
        known = skeleton.rpartition("/")[2] in _KNOWN and not leaf.isascii()
        other = seen.get(skeleton)
        if known or (other is not None and other.casefold() != path.casefold()):
            yield Hit(ascii(path), f"looks like {other or skeleton.rpartition('/')[2]!a}")
        seen.setdefault(skeleton, path)


@BOOK.rule(
    "case-collision",
    "medium",
    title="Two files' names differ in case only",
    why="On Windows and macOS the one overwrites the other: what is loaded there was not what was "
    "checked here.",
    remedy="ask the author which of the two counts",
)
def _case(download: Download) -> Iterator[Hit]:
    seen: dict[str, str] = {}
    for path in _paths(download):
        folded = unicodedata.normalize("NFC", path).casefold()
        if folded in seen and seen[folded] != path:
            yield Hit(path, f"and {seen[folded]!a}")
        seen.setdefault(folded, path)


@BOOK.rule(
    "leads-out",
    "critical",
    title="A file's name leads out of the download",
    why="Whoever writes it where its name says writes over a file of the system.",
    remedy=_AGAIN,
    sources=("https://cwe.mitre.org/data/definitions/22.html",),
)
def _leads_out(download: Download) -> Iterator[Hit]:
    for path in _paths(download):
        parts = path.replace("\\", "/").split("/")
        if ".." in parts or path.startswith(("/", "\\")) or _DRIVE.match(path) or "\x00" in path:
            yield Hit(ascii(path), "as it is listed")
        elif "\\" in path:
            yield Hit(ascii(path), "a backslash, which is a folder on Windows", "medium")


@BOOK.rule(
    "double-suffix",
    "high",
    title="A program is named like a model's file",
    why="Systems that hide the last suffix show `model.gguf` where there is `model.gguf.exe`.",
    remedy="do not open it",
)
def _double(download: Download) -> Iterator[Hit]:
    for path in _paths(download):
        last = suffix_of(path)
        before = suffix_of(path.rstrip()[: -len(last)]) if last else ""
        if last in _RUNS and before in _PLAIN and before != last:
            yield Hit(path, f"ends in {before}{last}")
        elif re.search(r"\s{3,}\.\w+$|[ .]$", path):
            yield Hit(ascii(path), "blanks or dots hide how it ends", "medium")


@BOOK.rule(
    "readme-admits-abliteration",
    "low",
    title="The readme speaks of removed refusals",
    why="It may describe this model, or set it apart from one: a person has to read it.",
    remedy="read the readme",
    sources=("https://arxiv.org/abs/2406.11717",),
)
def _speaks(download: Download) -> Iterator[Hit]:
    for note in download.notes:
        if note.code == "admits":
            yield Hit(note.location, note.text)


@BOOK.rule(
    "admits-abliteration",
    "medium",
    title="Its own name or tags say that refusals were removed",
    why="Names such as these are used for models whose refusals were trained away or cut out of the "
    "weights: a "
    "quantization of one is not as safe as the model that it was made from.",
    remedy="take a quantization of the original model, or audit it against the original",
    sources=("https://arxiv.org/abs/2406.11717",),
)
def _admits(download: Download) -> Iterator[Hit]:
    told: set[str] = set()
    for location, text in _claims(download):
        admitted = admission(text)
        if admitted and admitted.lower() not in told:
            told.add(admitted.lower())
            yield Hit(location, f"{admitted!a} in {text[:150]!a}")


def _claims(download: Download) -> Iterator[tuple[str, str]]:
    yield download.folder.name, download.folder.name
    for path in _paths(download):
        yield path, path
    for key in ("tags", "base_model", "model_name", "title", "datasets"):
        for value in download.claims.get(key, ()):
            yield f"README.md:{key}", value
    for setting in ("_name_or_path", "name_or_path"):
        told = download.settings.get(setting)
        if isinstance(told, str):
            yield f"config.json:{setting}", told
