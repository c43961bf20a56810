"""Rules over the texts of a safetensors header: names of tensors, and `__metadata__`."""

import re
from collections.abc import Iterator

from qaudit.static.carried import gravest
from qaudit.static.hidden_characters import CONTROLS, UNSEEN
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.tensors.safetensors_walk import SafetensorsWalk

BOOK: RuleBook[SafetensorsWalk] = RuleBook("safetensors-text", "names and metadata of safetensors files")
FORMAT = "https://huggingface.co/docs/safetensors"
MAX_NAME = 4096
MOST_METADATA = 8 << 20  # characters; trainers of image adapters store thumbnails and tag lists
MOST_SEARCHED = 2 << 20
# control characters, and code points that turn text round or are not seen
_HIDDEN = LazyPattern(f"[{CONTROLS}{UNSEEN}]")
_SIGNS = LazyPattern(r"\.\.|[/\\]")  # of which every such path has one
_PATH = LazyPattern(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]|\\")
# what only program text has; prose about code has no call to these with a bracket
_CODE = LazyPattern(
    r"__import__\s*\(|\b(?:eval|exec|compile)\s*\(|\bos\s*\.\s*(?:system|popen|exec[lv]\w*)\b"
    r"|\bsubprocess\s*\.\s*\w+|\b(?:curl|wget)\s[^|\n]{0,200}\|\s*(?:ba|z)?sh\b|<script\b|\bpowershell\s+-"
    r"|__(?:globals|subclasses|builtins|mro)__|\{%-?\s*(?:for|set|include|import)\b",
    re.IGNORECASE,
)
_URL = LazyPattern(r"\b(?:https?|ftp|file)://[^\s\"'<>\\]{1,200}", re.IGNORECASE)


@BOOK.rule(
    "name-path", "high",
    title="a tensor's name is a path that leads elsewhere",
    why="Tools that write one file per tensor, or cache by name, follow it out of their folder.",
    remedy="do not unpack or convert this file", sources=("CWE-22",),
)  # fmt: skip
def name_path(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find names with a way up, a root or a backslash."""
    for tensor in walk.tensors if _SIGNS.search("\n".join(t.name for t in walk.tensors)) else ():
        if _PATH.search(tensor.name):
            yield Hit(walk.name, f"{tensor.name[:160]!a}")


@BOOK.rule(
    "name-hidden", "high",
    title="a tensor's name holds characters that are not seen",
    why="Two names that look alike are two tensors: what a person reviews is not what a program loads.",
    remedy="do not load it; ask its author for a clean file", sources=("CWE-1007",),
)  # fmt: skip
def name_hidden(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find control, zero-width and direction characters in names."""
    # one look at all of them is faster than one at each
    hidden = _HIDDEN.search("".join(tensor.name for tensor in walk.tensors))
    for tensor in walk.tensors if hidden or not all(t.name for t in walk.tensors) else ():
        if _HIDDEN.search(tensor.name) or not tensor.name:
            yield Hit(walk.name, f"{tensor.name[:160]!a}" if tensor.name else "a tensor without a name")


@BOOK.rule(
    "name-long", "medium",
    title="a tensor's name is longer than any real one",
    why="Names of thousands of characters carry something other than a name, or aim at fixed buffers.",
    remedy="look at who wrote the file", sources=(FORMAT,),
)  # fmt: skip
def name_long(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find names beyond a length that no program gives."""
    for tensor in walk.tensors:
        if len(tensor.name) > MAX_NAME:
            yield Hit(walk.name, f"{len(tensor.name)} characters: {tensor.name[:80]!a}…")


@BOOK.rule(
    "metadata-code", "medium",
    title="metadata holds program text",
    why="Nothing runs it here, but programs that show or render metadata have run what they were given.",
    remedy="read it before any program shows it", sources=(FORMAT, "CWE-94"),
)  # fmt: skip
def metadata_code(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find calls that only code makes."""
    for key, text in _texts(walk):
        found = _CODE.search(text)
        if found:
            yield Hit(
                f"{walk.name}:__metadata__.{_short(key)}", ascii(text[max(0, found.start() - 40) :][:200])
            )


@BOOK.rule(
    "metadata-hidden", "medium",
    title="metadata holds characters that are not seen",
    why="Control and direction characters make a terminal or a page show something other than what is there.",
    remedy="read it with a tool that shows them", sources=("CWE-1007",),
)  # fmt: skip
def metadata_hidden(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find control, zero-width and direction characters."""
    for key, text in _texts(walk):
        found = _HIDDEN.search(text) or _HIDDEN.search(key)
        if found:
            place = f"{walk.name}:__metadata__.{_short(key)}"
            yield Hit(place, f"{found.group()!a} in {text[max(0, found.start() - 30) :][:90]!a}")


@BOOK.rule(
    "metadata-blob", "medium",
    title="metadata holds a run of encoded bytes",
    why="Nothing in it needs to be unreadable; a program beside the file can decode and run it. One that "
    "decodes to a program, an archive, a pickle or code is high.",
    remedy="decode it and see", sources=("CWE-506",),
)  # fmt: skip
def metadata_blob(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find the gravest run of each value; pictures are kept there by trainers of adapters."""
    for key, text in _texts(walk):
        if payload := gravest(text):
            place = f"{walk.name}:__metadata__.{_short(key)}"
            yield Hit(place, payload.told(), "high" if payload.what else None)


@BOOK.rule(
    "metadata-link", "info",
    title="metadata holds a link",
    why="A link is fine for a person; a program that fetches it tells the host who loads the model.",
    remedy="none needed", sources=(FORMAT,),
)  # fmt: skip
def metadata_link(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find the first link of each value."""
    for key, text in _texts(walk):
        found = _URL.search(text)
        if found:
            yield Hit(f"{walk.name}:__metadata__.{_short(key)}", ascii(found.group())[1:-1])


@BOOK.rule(
    "metadata-size", "low",
    title="metadata of many megabytes",
    why="It is parsed by everyone who opens the file, and nobody looks at what it holds.",
    remedy="ask what it is for", sources=(FORMAT,),
)  # fmt: skip
def metadata_size(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Measure all values together."""
    total = sum(len(key) + len(value) for key, value in walk.metadata if isinstance(value, str))
    if total > MOST_METADATA:
        yield Hit(f"{walk.name}:__metadata__", f"{total} characters in {len(walk.metadata)} values")


def _texts(walk: SafetensorsWalk) -> Iterator[tuple[str, str]]:
    left = MOST_SEARCHED
    for key, value in walk.metadata:
        if isinstance(value, str) and left > 0:
            yield key, value[:left]
            left -= len(value)


def _short(key: str) -> str:
    return ascii(key[:80])[1:-1]
