"""All rules on what a GGUF's header says: types of keys, sizes, origin, texts, settings, vocabulary."""

from collections.abc import Callable

from qaudit.findings import Finding, Surface
from qaudit.static.gguf.walk import TOKENIZER_JSON, GgufWalk
from qaudit.static.metadata import (
    adapter_rules,
    architecture_rules,
    key_types,
    origin_rules,
    projector_rules,
    sampling,
    text_rules,
)
from qaudit.static.model_parts import Examined
from qaudit.static.vocabulary.gguf_view import KINDS, TOKENS, vocabulary_of
from qaudit.static.vocabulary.judging import judge_vocabulary
from qaudit.static.vocabulary.tokens import Vocabulary

_BOOKS: tuple[Callable[[GgufWalk], list[Finding]], ...] = (
    key_types.BOOK.findings,
    architecture_rules.BOOK.findings,
    origin_rules.BOOK.findings,
    sampling.GGUF_BOOK.findings,
    projector_rules.BOOK.findings,
    adapter_rules.BOOK.findings,
)


def gguf_metadata(walk: GgufWalk) -> Examined:
    """Judge the metadata and the vocabulary of one walked header; parts are the caller's to fill."""
    examined = Examined()
    for findings in _BOOKS:
        examined.findings += findings(walk)
    texts = text_rules.texts(walk)
    examined.findings += text_rules.BOOK.findings(texts)
    if texts.more:
        told = f"{texts.more} texts beyond {text_rules.MAX_ALL:,} characters were not judged"
        examined.surfaces.append(Surface(walk.name, "metadata", "partial", told))
    vocabulary = gguf_vocabulary(walk)
    if vocabulary is not None:
        examined.findings += judge_vocabulary(vocabulary)
    if walk.pair(TOKENIZER_JSON) is not None:
        # few have one, and the rules take a while to come
        from qaudit.static.vocabulary.embedded import inspect_embedded

        examined.add(inspect_embedded(walk))
    kept = [pair.name for pair in walk.pairs if pair.name in (TOKENS, KINDS) and pair.value is None]
    if kept:
        examined.surfaces.append(
            Surface(walk.name, "tokenizer", "skipped", f"{kept[0]} is too long or no list of its type")
        )
    return examined


def gguf_vocabulary(walk: GgufWalk) -> Vocabulary | None:
    """Return the vocabulary with what rules need to know of the rest of the file."""
    view = vocabulary_of(walk)
    if view is None:
        return None
    dims = next((entry.dims for entry in walk.tensors if entry.name == b"token_embd.weight"), ())
    rows = dims[1] if len(dims) == 2 else None
    return Vocabulary(view, rows, bounds_hold=True, place=f"{walk.name}:{TOKENS}")
