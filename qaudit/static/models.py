"""The models that a download holds, put together from what its files gave, and laid beside a reference's.

A file of a split set has a part of the tensors, a folder in Hugging Face layout has its vocabulary, its
settings and its tensors in different files; a folder of a hub may hold one model in ten quantizations.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from qaudit.checkpoints.shard_names import SHARD_NAME
from qaudit.static.model_parts import ModelParts

# of general.type in a GGUF: what goes with a model and is none itself
_COMPANIONS = frozenset({"adapter", "mmproj", "imatrix"})


def put_together(found: Sequence[tuple[str, ModelParts]]) -> tuple[ModelParts, ...]:
    """Return one value for each model.

    Args:
        found: the path that parts are of (empty for those of the folder as a whole), and the parts.
    """
    models: dict[tuple[str, str], ModelParts] = {}
    for path, parts in found:
        key = _model_of(path, parts)
        known = models.get(key)
        models[key] = parts if known is None else _joined(known, parts)
    return tuple(models.values())


def reference_for(candidate: ModelParts, references: Sequence[ModelParts]) -> ModelParts | None:
    """Return what a candidate is compared with: of several, the one in its format, else the largest.

    A projector is compared with another one only, an adapter with another one or with the model it is for.
    """
    same = [parts for parts in references if _companion(parts) == _companion(candidate)]
    if not same and is_adapter(candidate):
        same = [parts for parts in references if parts.format == "gguf" and not _companion(parts)]
    if not same:
        return None
    alike = [parts for parts in same if (parts.format == "gguf") == (candidate.format == "gguf")] or same
    return max(alike, key=lambda parts: sum(tensor.bytes for tensor in parts.tensors))


def is_adapter(parts: ModelParts) -> bool:
    """Return whether a GGUF holds no model but what is added to one."""
    return _companion(parts) == "adapter"


def _model_of(path: str, parts: ModelParts) -> tuple[str, str]:
    if parts.format == "gguf":
        match = SHARD_NAME.fullmatch(path)
        return "gguf", f"{match['stem']}-of-{match['count']}" if match else path
    # what lies in a folder in Hugging Face layout is of one model
    return "folder", re.sub(r"[^/]*$", "", path)


def _joined(first: ModelParts, second: ModelParts) -> ModelParts:
    known = {(template.location, template.name) for template in first.templates}
    more = tuple(t for t in second.templates if (t.location, t.name) not in known)
    return replace(
        first,
        format=first.format or second.format,
        templates=(*first.templates, *more),
        vocabulary=first.vocabulary or second.vocabulary,
        tensors=(*first.tensors, *second.tensors),
        settings={**second.settings, **first.settings},
    )


def _companion(parts: ModelParts) -> str:
    kind = parts.settings.get("general.type")
    return kind if isinstance(kind, str) and kind in _COMPANIONS else ""
