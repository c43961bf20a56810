"""Rules on keys, tensor names and the bytes of text values: what two programs read differently."""

from collections.abc import Iterator

from qaudit.findings import Severity
from qaudit.static.gguf.book import BOOK, FORMAT, NOT_LOADED, WRITE_AGAIN, GgufSubject
from qaudit.static.gguf.string_array import StringArray
from qaudit.static.gguf.walk import KvPair, printable
from qaudit.static.hidden_characters import hidden, named
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.rules import Hit

MAX_KEY = 65535
MAX_TENSOR_NAME = 63  # bytes; ggml's names have 64 with their NUL
MOST_NAMED = 200  # bytes of a name looked at for hidden characters
_IN_KEYS = b"abcdefghijklmnopqrstuvwxyz0123456789_-."
_IN_NAMES = _IN_KEYS + b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# gguf-py writes a template's name as its author spelt it
_TEMPLATE = b"tokenizer.chat_template."
_CLIMBS = LazyPattern(rb"(^|[/\\])\.\.([/\\]|$)|^[/\\~]|^[A-Za-z]:[/\\]|\\")


@BOOK.rule(
    "bad-key",
    "medium",
    title="a key that is not written as the format asks",
    why="Keys are ASCII words joined by dots. Others are refused by some loaders, cannot be told from "
    "another key by eye, or reach a terminal or log as commands.",
    remedy=WRITE_AGAIN,
    sources=(FORMAT, "https://github.com/ggml-org/llama.cpp/pull/24263"),
)
def _bad_key(subject: GgufSubject) -> Iterator[Hit]:
    for problem in subject.walk.problems:
        if problem.code == "long-key":
            yield Hit(f"{subject.walk.name}@byte {problem.offset}", problem.text)
    for pair in subject.walk.pairs:
        key = pair.key
        if _is_plain_key(key) or b"\0" in key:
            continue
        place = f"{subject.walk.name}@byte {pair.offset}"
        if not key:
            yield Hit(place, "an empty key, on which older builds of llama.cpp abort", "high")
            continue
        fault = _faults(key)
        if fault:
            yield Hit(place, f"key {printable(key)}: {fault[0]}", fault[1])
        else:
            yield Hit(place, f"key {printable(key)} is not of lower-case words joined by dots", "low")


@BOOK.rule(
    "nul-in-key",
    "high",
    title="a key with a NUL in it",
    why="llama.cpp compares whole keys when it looks for duplicates, and up to the NUL when it looks one up: "
    "such a key, put first, takes the place of the real one, and no other program sees that.",
    remedy=NOT_LOADED,
    sources=("https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/gguf.cpp", FORMAT),
)
def _nul_in_key(subject: GgufSubject) -> Iterator[Hit]:
    keys = {pair.key for pair in subject.walk.pairs}
    for pair in subject.walk.pairs:
        if b"\0" in pair.key:
            seen = pair.key.partition(b"\0")[0]
            shadows = f"; it stands for {printable(seen)}, which is there too" if seen in keys else ""
            yield Hit(f"{subject.walk.name}@byte {pair.offset}", f"key {printable(pair.key)}{shadows}")


@BOOK.rule(
    "duplicate-key",
    "high",
    title="the same key twice",
    why="Some programs take the first, some the last, llama.cpp refuses the file: what was reviewed need not "
    "be what runs.",
    remedy=NOT_LOADED,
    sources=("https://github.com/ggml-org/llama.cpp/pull/19856",),
)
def _duplicate_key(subject: GgufSubject) -> Iterator[Hit]:
    first: dict[bytes, KvPair] = {}
    for pair in subject.walk.pairs:
        known = first.setdefault(pair.key, pair)
        if known is not pair:
            same = "the same value" if _alike(known, pair) else "another value"
            yield Hit(
                subject.walk.place(pair), f"at bytes {known.offset} and {pair.offset}, the second with {same}"
            )


@BOOK.rule(
    "nul-in-value",
    "high",
    title="a text with a NUL in it",
    why="llama.cpp reads a text up to its first NUL, Python tools read all of it: a template or name that "
    "was reviewed in Python is not the one that runs.",
    remedy=NOT_LOADED,
    sources=("https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/gguf.cpp",),
)
def _nul_in_value(subject: GgufSubject) -> Iterator[Hit]:
    for pair in subject.walk.pairs:
        value, place = pair.value, subject.walk.place(pair)
        if isinstance(value, bytes) and b"\0" in value:
            at = value.index(b"\0")
            yield Hit(
                place, f"llama.cpp sees {at} of {len(value)} bytes; hidden: {printable(value[at + 1 :])}"
            )
        elif isinstance(value, StringArray):
            for index in value.with_nul():
                yield Hit(f"{place}[{index}]", f"{printable(value[index])}", "medium")


@BOOK.rule(
    "bad-utf8",
    "medium",
    title="a text that is not UTF-8",
    why="Each program makes something else of such bytes: an error, a question mark, or another character.",
    remedy=WRITE_AGAIN,
    sources=(FORMAT,),
)
def _bad_utf8(subject: GgufSubject) -> Iterator[Hit]:
    for pair in subject.walk.pairs:
        if isinstance(pair.value, bytes) and not _is_text(pair.value):
            yield Hit(subject.walk.place(pair), printable(pair.value))


@BOOK.rule(
    "bad-tensor-name",
    "medium",
    title="a tensor name that loaders refuse or misread",
    why="ggml keeps 63 bytes up to a NUL; tools that unpack tensors to files use the name as a path.",
    remedy=WRITE_AGAIN,
    sources=(FORMAT, "https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/gguf.cpp"),
)
def _bad_tensor_name(subject: GgufSubject) -> Iterator[Hit]:
    for problem in subject.walk.problems:
        if problem.code == "long-tensor-name":
            yield Hit(f"{subject.walk.name}@byte {problem.offset}", problem.text)
    for tensor in subject.walk.tensors:
        name = tensor.name
        if 0 < len(name) <= MAX_TENSOR_NAME and not name.translate(None, _IN_NAMES):
            continue
        place = f"{subject.walk.name}@byte {tensor.at}"
        fault = _faults(name)
        if not name:
            yield Hit(place, "an empty name")
        elif b"\0" in name:
            yield Hit(
                place,
                f"{printable(name)}: ggml reads {printable(name.partition(bytes(1))[0]) or 'nothing'}",
                "high",
            )
        elif _CLIMBS.search(name[:MOST_NAMED]):
            yield Hit(place, f"{printable(name)} leads out of a folder where it is used as a path", "high")
        elif fault:
            yield Hit(place, f"{printable(name)}: {fault[0]}", fault[1])
        elif len(name) > MAX_TENSOR_NAME:
            yield Hit(place, f"{printable(name)} has {len(name)} bytes; ggml has room for {MAX_TENSOR_NAME}")
        elif b"/" in name:
            yield Hit(place, f"{printable(name)} has a slash", "low")


@BOOK.rule(
    "duplicate-tensor",
    "high",
    title="the same tensor name twice",
    why="llama.cpp refuses it; others take the first or the last, so that the weights that were examined are "
    "not those that run.",
    remedy=NOT_LOADED,
    sources=("https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/gguf.cpp",),
)
def _duplicate_tensor(subject: GgufSubject) -> Iterator[Hit]:
    first: dict[bytes, int] = {}
    for tensor in subject.walk.tensors:
        known = first.setdefault(tensor.name.partition(b"\0")[0], tensor.at)
        if known != tensor.at:
            yield Hit(subject.walk.place_of(tensor), f"at bytes {known} and {tensor.at}")


def _is_plain_key(key: bytes) -> bool:
    # patterns take longer to compile than a header's keys to look at
    if key.translate(None, _IN_KEYS):
        return key.startswith(_TEMPLATE) and key[len(_TEMPLATE) :].replace(b"_", b"").isalnum()
    return bool(key) and b".." not in key and not key.startswith(b".") and not key.endswith(b".")


def _faults(name: bytes) -> tuple[str, Severity | None] | None:
    """Return what about a name a person does not see, and how grave it is."""
    if not _is_text(name):
        return "is not UTF-8", "high"
    text = name[:MOST_NAMED].decode("utf-8", "ignore")
    unseen = hidden(text)
    if unseen:
        return named(unseen), "high"
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        return "has a control character", "high"
    return None if text.isascii() else ("is not ASCII: another script can look the same", "medium")


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _alike(first: KvPair, second: KvPair) -> bool:
    if isinstance(first.value, StringArray) and isinstance(second.value, StringArray):
        return first.value.block == second.value.block
    return (first.type, first.value) == (second.type, second.value)
