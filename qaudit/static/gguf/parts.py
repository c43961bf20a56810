"""The parts of a GGUF that are laid beside a reference: templates, vocabulary, tensors, settings."""

from qaudit.static.gguf.ggml_types import type_label
from qaudit.static.gguf.layout import Layout
from qaudit.static.gguf.string_array import StringArray
from qaudit.static.gguf.walk import GgufWalk, printable
from qaudit.static.model_parts import ModelParts, TemplateText, TensorRow
from qaudit.static.vocabulary.gguf_view import vocabulary_of

TEMPLATE_KEY = "tokenizer.chat_template"
# what a vocabulary is compared by stands in it, not in the settings
_NOT_SETTINGS = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.scores",
                 "tokenizer.ggml.token_type")  # fmt: skip


def model_parts(walk: GgufWalk, layout: Layout) -> ModelParts:
    """Return what a walked header holds."""
    return ModelParts(
        location=walk.name,
        format="gguf",
        templates=templates_of(walk),
        vocabulary=vocabulary_of(walk),
        tensors=_rows(walk, layout),
        settings={
            key: value
            for key, value in walk.metadata.items()
            if key not in _NOT_SETTINGS and not key.startswith(TEMPLATE_KEY)
        },
    )


def templates_of(walk: GgufWalk) -> tuple[TemplateText, ...]:
    """Return every chat template of a header, also those that a second key of the same name brings."""
    found = []
    for pair in walk.pairs:
        # llama.cpp looks keys up to their first NUL
        key = pair.key.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if not isinstance(pair.value, bytes):
            continue
        if key == TEMPLATE_KEY or key == f"{TEMPLATE_KEY}.default":
            name = "default"
        elif key.startswith(f"{TEMPLATE_KEY}."):
            name = key[len(TEMPLATE_KEY) + 1 :]
        else:
            continue
        text = pair.value.decode("utf-8", "replace")
        found.append(TemplateText(walk.place(pair), printable(name.encode("utf-8", "surrogateescape")), text))
    return tuple(found)


def template_names(walk: GgufWalk) -> list[str]:
    """Return the names that the header says it has templates under."""
    names = walk.metadata.get(f"{TEMPLATE_KEY}s")
    return names.texts() if isinstance(names, StringArray) else []


def _rows(walk: GgufWalk, layout: Layout) -> tuple[TensorRow, ...]:
    if layout.placed:
        return tuple(
            TensorRow(
                printable(placed.entry.name),
                placed.entry.dims[::-1],
                placed.packing.name if placed.packing else type_label(placed.entry.type_id),
                placed.least if placed.bytes is None else placed.bytes,
            )
            for placed in layout.placed
        )
    return tuple(
        TensorRow(printable(entry.name), entry.dims[::-1], type_label(entry.type_id), 0)
        for entry in walk.tensors
    )
