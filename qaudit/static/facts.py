"""What a download says it is, in a few words: for the report and the bill of materials, never for a rule."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

from qaudit.static.folder_view import FolderView
from qaudit.static.model_parts import ModelParts, VocabularyView

MAX_TEXT = 200
_NAMES = ("general.name", "config.json:_name_or_path")
_ARCHITECTURES = ("general.architecture", "config.json:model_type", "config.json:architectures")
_LICENCES = ("general.license", "README.md:license")
_BASES = (
    "general.base_model.0.repo_url",
    "general.base_model.0.name",
    "README.md:base_model",
    "adapter_config.json:base_model_name_or_path",
)


def facts_of(view: FolderView, models: Sequence[ModelParts], *, tokenizers: bool = False) -> dict[str, str]:
    """Return what is known: the largest model's format, types and size, and digests of all templates.

    Args:
        view: the download.
        models: what it holds.
        tokenizers: digests of these too, which takes a look at every token and merge.
    """
    known = {"files": str(len(view.entries)), "bytes": str(sum(entry.size for entry in view.entries))}
    if not models:
        return known
    known["models"] = str(len(models))
    main = max(models, key=lambda parts: sum(tensor.bytes for tensor in parts.tensors))
    known["format"] = main.format
    for key, places in (
        ("name", _NAMES),
        ("architecture", _ARCHITECTURES),
        ("licence", _LICENCES),
        ("declared_base", _BASES),
    ):
        if text := _first_text(main, places):
            known[key] = text
    if main.tensors:
        known["tensors"] = str(len(main.tensors))
        known["types"] = ", ".join(_types(main))
    for parts in models:
        known.update(_digests(parts, tokenizers=tokenizers))
    return known


def vocabulary_sha256(vocabulary: VocabularyView) -> str:
    """Return a digest of what a tokenizer does: tokens with their kinds, merges, special and added tokens."""
    spelled = (
        vocabulary.model,
        vocabulary.pre,
        # a token that is not there is not an empty one
        "\0".join("" if token is None else f"={token}" for token in vocabulary.tokens),
        ",".join(map(str, vocabulary.kinds)),
        "\0".join(vocabulary.merges),
        repr(sorted(vocabulary.special.items())),
        repr(sorted((text, at, sorted(flags)) for text, (at, flags) in vocabulary.added.items())),
    )
    digest = hashlib.sha256()
    for part in spelled:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _digests(parts: ModelParts, *, tokenizers: bool) -> Iterator[tuple[str, str]]:
    for template in parts.templates:
        text = template.text.encode("utf-8", "surrogatepass")
        yield (
            f"template_sha256 {template.location[:MAX_TEXT]} {template.name[:MAX_TEXT]}",
            hashlib.sha256(text).hexdigest(),
        )
    if tokenizers and parts.vocabulary is not None:
        yield (
            f"tokenizer_sha256 {parts.vocabulary.location[:MAX_TEXT]}",
            vocabulary_sha256(parts.vocabulary),
        )


def _types(parts: ModelParts) -> list[str]:
    """Return the tensors' types, those of most bytes first."""
    sizes: Counter[str] = Counter()
    for tensor in parts.tensors:
        sizes[tensor.type] += tensor.bytes
    return [name for name, _ in sizes.most_common(6)]


def _first_text(parts: ModelParts, places: Sequence[str]) -> str:
    for place in places:
        value = parts.settings.get(place)
        if isinstance(value, list | tuple) and value:
            value = value[0]
        if isinstance(value, str) and value:
            return value[:MAX_TEXT]
    return ""
