"""Rules on what the walk ran into: magic, version, counts, lengths, value types, nesting, limits."""

from collections.abc import Iterator

from qaudit.static.gguf.book import (
    BOOK,
    FETCH_AGAIN,
    FORMAT,
    NOT_LOADED,
    TALOS_2024,
    WRITE_AGAIN,
    GgufSubject,
)
from qaudit.static.gguf.carving import kind_of_start
from qaudit.static.gguf.walk import U32
from qaudit.static.rules import Hit

LEGACY = {b"lmgg": "GGML", b"fmgg": "GGMF", b"tjgg": "GGJT", b"algg": "GGLA"}
MAX_ALIGNMENT = 1 << 20
SPEC_ALIGNMENT = 8


def _noted(subject: GgufSubject, *codes: str) -> Iterator[Hit]:
    for problem in subject.walk.problems:
        if problem.code in codes:
            yield Hit(f"{subject.walk.name}@byte {problem.offset}", problem.text)


def is_legacy(subject: GgufSubject) -> bool:
    """Say whether the file is of the formats that came before GGUF."""
    return subject.walk.magic[:4] in LEGACY


@BOOK.rule(
    "bad-magic",
    "high",
    title="not a GGUF file",
    why="A file that is named like a GGUF and is something else is opened by whatever recognises it.",
    remedy=FETCH_AGAIN,
    sources=(FORMAT, "CVE-2025-1889"),
)
def _bad_magic(subject: GgufSubject) -> Iterator[Hit]:
    if is_legacy(subject):
        return
    for hit in _noted(subject, "magic", "swapped-magic"):
        head = subject.source.read_at(0, 4096)
        what = kind_of_start(head)
        yield Hit(hit.location, f"{hit.evidence}; it is {what}" if what else hit.evidence)


@BOOK.rule(
    "legacy",
    "medium",
    title="a format from before GGUF",
    why="GGML, GGMF and GGJT files are read by loaders that nobody mends any more; qaudit reads none.",
    remedy="use a GGUF of the model instead",
    sources=(FORMAT,),
)
def _legacy(subject: GgufSubject) -> Iterator[Hit]:
    if is_legacy(subject):
        yield Hit(subject.walk.name, f"a {LEGACY[subject.walk.magic[:4]]} file")


@BOOK.rule(
    "bad-version",
    "high",
    title="a GGUF version that today's runtimes do not read",
    why="llama.cpp reads versions 2 and 3; others lay out version 1 differently, or take any number for 3, "
    "so that two programs see two files.",
    remedy=WRITE_AGAIN,
    sources=(FORMAT,),
)
def _bad_version(subject: GgufSubject) -> Iterator[Hit]:
    yield from _noted(subject, "version")
    if subject.walk.version == 1:
        yield Hit(
            f"{subject.walk.name}@byte 4", "version 1, which llama.cpp refuses since November 2023", "medium"
        )


@BOOK.rule(
    "big-endian",
    "low",
    title="big-endian file",
    why="Made for machines such as IBM Z. llama.cpp on any other machine refuses it; gguf-py reads it.",
    remedy="use the little-endian file, unless yours is such a machine",
    sources=(FORMAT,),
)
def _big_endian(subject: GgufSubject) -> Iterator[Hit]:
    if subject.walk.big_endian:
        yield Hit(subject.walk.name, f"version {subject.walk.version}, big-endian")


@BOOK.rule(
    "truncated",
    "high",
    title="the header ends before it is complete",
    why="The file is cut off, or its counts lie; what would have followed is unknown.",
    remedy=FETCH_AGAIN,
    sources=(FORMAT,),
)
def _truncated(subject: GgufSubject) -> Iterator[Hit]:
    yield from _noted(subject, "truncated")


@BOOK.rule(
    "impossible-count",
    "critical",
    title="more keys or tensors declared than the file can hold",
    why="Loaders that multiply the count before they compare it write past the end of a heap block, or ask "
    "for all memory there is.",
    remedy=NOT_LOADED,
    sources=(
        *TALOS_2024,
        "CVE-2024-25664",
        "CVE-2024-25666",
        "https://github.com/ggml-org/llama.cpp/issues/15711",
    ),
)
def _impossible_count(subject: GgufSubject) -> Iterator[Hit]:
    yield from _noted(subject, "count")


@BOOK.rule(
    "impossible-length",
    "critical",
    title="a string or array is longer than the rest of the file",
    why="A length that is trusted gives heap overflows in loaders of 2024, endless allocation in gguf-py "
    "0.19 and panics in others.",
    remedy=NOT_LOADED,
    sources=(
        *TALOS_2024, "CVE-2024-25665", "CVE-2024-25667", "CVE-2024-25668",
        "https://github.com/ggml-org/llama.cpp/pull/27188", "https://github.com/ollama/ollama/issues/17042",
    ),
)  # fmt: skip
def _impossible_length(subject: GgufSubject) -> Iterator[Hit]:
    yield from _noted(subject, "string-length", "array-length")


@BOOK.rule(
    "unknown-value-type",
    "high",
    title="a value of a type that GGUF does not have",
    why="No loader knows how long the value is, so nothing after it can be read as it was meant.",
    remedy=FETCH_AGAIN,
    sources=(FORMAT,),
)
def _unknown_value_type(subject: GgufSubject) -> Iterator[Hit]:
    yield from _noted(subject, "value-type", "element-type")


@BOOK.rule(
    "nested-array",
    "medium",
    title="an array of arrays",
    why="The format allows it; llama.cpp refuses it, and readers that follow it by recursion crash when it "
    "is deep.",
    remedy=WRITE_AGAIN,
    sources=(FORMAT, "https://github.com/huggingface/huggingface.js/pull/2028"),
)
def _nested_array(subject: GgufSubject) -> Iterator[Hit]:
    yield from _noted(subject, "nested-array")
    for hit in _noted(subject, "nested-depth"):
        yield Hit(hit.location, hit.evidence, "high")


@BOOK.rule(
    "bad-bool",
    "medium",
    title="a truth value that is neither 0 nor 1",
    why="llama.cpp takes it for true, candle refuses it, others compare it with 1: programs disagree about "
    "the setting.",
    remedy=WRITE_AGAIN,
    sources=(FORMAT,),
)
def _bad_bool(subject: GgufSubject) -> Iterator[Hit]:
    yield from _noted(subject, "bool-byte")


@BOOK.rule(
    "too-many",
    "medium",
    title="more keys or tensors than any model has",
    why="Some loaders take time that grows with the square of the count; qaudit looks at the first 32768.",
    remedy=NOT_LOADED,
    sources=(FORMAT,),
)
def _too_many(subject: GgufSubject) -> Iterator[Hit]:
    yield from _noted(subject, "many")


@BOOK.rule(
    "over-limit",
    "medium",
    title="a value or header larger than any model needs",
    why="It was not looked at as a whole, and may hide anything or use up a loader's memory.",
    remedy=NOT_LOADED,
    sources=(FORMAT,),
)
def _over_limit(subject: GgufSubject) -> Iterator[Hit]:
    yield from _noted(subject, "limit", "not-kept", "loader-limit")


@BOOK.rule(
    "bad-alignment",
    "high",
    title="an alignment that cannot be",
    why="Zero divides by zero in Ollama up to 0.3.14; a wrong type aborts llama.cpp; a huge one makes padded "
    "sizes wrap around; one that is no power of two puts tensors elsewhere in each runtime.",
    remedy=NOT_LOADED,
    sources=(
        "CVE-2025-0317", "https://github.com/ggml-org/llama.cpp/pull/24997",
        "https://github.com/ggml-org/llama.cpp/pull/26318", FORMAT,
    ),
)  # fmt: skip
def _bad_alignment(subject: GgufSubject) -> Iterator[Hit]:
    for pair in subject.walk.pairs:
        if pair.key != b"general.alignment":
            continue
        place, value = subject.walk.place(pair), pair.value
        if pair.type != U32 or not isinstance(value, int):
            yield Hit(place, f"is of type {pair.type_name}, not u32")
        elif value == 0:
            yield Hit(place, "is 0", "critical")
        elif value & (value - 1):
            yield Hit(place, f"is {value}, no power of two")
        elif value > MAX_ALIGNMENT:
            yield Hit(place, f"is {value}, over {MAX_ALIGNMENT}")
        elif value < SPEC_ALIGNMENT:
            yield Hit(place, f"is {value}, no multiple of {SPEC_ALIGNMENT}", "low")
