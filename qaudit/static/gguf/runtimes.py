"""Which runtimes read a file, by the checks that each of them makes of its structure.

A file that one refuses and another reads is a file that a reviewer and a user may see differently. Checks
are those of the sources: llama.cpp's gguf.cpp and model loader (version 3 files, 2026), gguf-py 0.19's
GGUFReader, Ollama's fs/ggml, candle's gguf_file.rs.
"""

from collections.abc import Iterator

from qaudit.static.gguf.book import BOOK, GgufSubject
from qaudit.static.gguf.ggml_types import GGML, PACKINGS
from qaudit.static.gguf.tensor_rules import MAX_DIMENSIONS, overflow
from qaudit.static.gguf.walk import U32
from qaudit.static.rules import Hit

LLAMA_CPP, GGUF_PY, OLLAMA, CANDLE = "llama.cpp", "gguf-py", "Ollama", "candle"
RUNTIMES = (LLAMA_CPP, GGUF_PY, OLLAMA, CANDLE)
# no reader gets past these
_UNREADABLE = frozenset(
    {"magic", "truncated", "count", "string-length", "array-length", "value-type", "element-type", "lost"}
)
_MAX_NAME = 63


def refusals(subject: GgufSubject) -> dict[str, str]:
    """Return, for each runtime that does not read the file, the first reason; the others read it."""
    found: dict[str, str] = {}
    for names, reason in _reasons(subject):
        for name in names:
            found.setdefault(name, reason)
    return found


@BOOK.rule(
    "parser-differential",
    "info",
    title="some runtimes read this file and others refuse it",
    why="What was tried in one program need not be what another makes of it.",
    remedy="use a file that llama.cpp reads: it is the strictest",
    sources=("https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/gguf.cpp",),
)
def _differential(subject: GgufSubject) -> Iterator[Hit]:
    refused = refusals(subject)
    if refused and len(refused) < len(RUNTIMES):
        told = "; ".join(f"{name} refuses it ({reason})" for name, reason in refused.items())
        readers = ", ".join(name for name in RUNTIMES if name not in refused)
        yield Hit(subject.walk.name, f"{told}; read by {readers}")


def _reasons(subject: GgufSubject) -> Iterator[tuple[tuple[str, ...], str]]:
    walk, layout = subject.walk, subject.layout
    codes = {problem.code for problem in walk.problems}
    if codes & _UNREADABLE:
        yield RUNTIMES, "its header cannot be read"
        return
    if "swapped-magic" in codes:
        yield (LLAMA_CPP, GGUF_PY), "the magic is backwards"
    if walk.big_endian:
        yield (LLAMA_CPP, CANDLE), "it is big-endian"
    if walk.version == 1:
        yield (LLAMA_CPP, GGUF_PY, OLLAMA), "version 1"
    if "version" in codes:
        yield (LLAMA_CPP, GGUF_PY, CANDLE), f"version {walk.version}"
    if codes & {"nested-array", "nested-depth"}:
        yield (LLAMA_CPP, OLLAMA), "an array of arrays"
    if "bool-byte" in codes:
        yield (CANDLE,), "a truth value is neither 0 nor 1"
    keys = [pair.key for pair in walk.pairs]
    if len(set(keys)) < len(keys):
        yield (LLAMA_CPP, GGUF_PY), "a key is there twice"
    if b"" in keys:
        yield (LLAMA_CPP,), "a key is empty"
    names = [entry.name for entry in walk.tensors]
    if len(set(names)) < len(names):
        yield (LLAMA_CPP, GGUF_PY), "a tensor is there twice"
    if any(len(name) > _MAX_NAME for name in names):
        yield (LLAMA_CPP,), f"a tensor name is longer than {_MAX_NAME} bytes"
    yield from _alignment(subject)
    if any(len(entry.dims) > MAX_DIMENSIONS for entry in walk.tensors):
        yield (LLAMA_CPP,), f"a tensor has more than {MAX_DIMENSIONS} dimensions"
    if any(overflow(entry, None, walk.alignment) for entry in walk.tensors):
        yield (LLAMA_CPP,), "a tensor is too large"
    if any(not _of_ggml(entry.type_id) for entry in walk.tensors):
        yield RUNTIMES, "a type is not of ggml"
    if layout.placed and layout.exact and not layout.packed:
        yield (LLAMA_CPP,), "the tensors do not lie one behind another"
    if any(placed.end > walk.size for placed in layout.placed):
        yield RUNTIMES, "a tensor reaches past the end"


def _alignment(subject: GgufSubject) -> Iterator[tuple[tuple[str, ...], str]]:
    pair = subject.walk.pair("general.alignment")
    if pair is None:
        return
    if pair.type != U32:
        yield (LLAMA_CPP, GGUF_PY), "general.alignment is not u32"
    elif not isinstance(pair.value, int) or pair.value == 0:
        yield RUNTIMES, "general.alignment is 0"
    elif pair.value & (pair.value - 1):
        yield (LLAMA_CPP, GGUF_PY), "general.alignment is no power of two"


def _of_ggml(type_id: int) -> bool:
    return type_id in PACKINGS and PACKINGS[type_id][0].origin == GGML
