"""Rules on adapters (LoRA) in GGUF: pairs of matrices that are added to a model's weights."""

import math
from collections.abc import Iterator

from qaudit.static.gguf.walk import GgufWalk, TensorEntry
from qaudit.static.metadata.numbers import holds_model, real_number
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[GgufWalk] = RuleBook("adapter", "Low-rank adapters.")

MAX_RANK = 4096
_A, _B = b".lora_a", b".lora_b"


def _pairs(walk: GgufWalk) -> dict[bytes, dict[bytes, TensorEntry]]:
    found: dict[bytes, dict[bytes, TensorEntry]] = {}
    for entry in walk.tensors:
        if entry.name.endswith((_A, _B)):
            found.setdefault(entry.name[:-7], {})[entry.name[-7:]] = entry
    return found


@BOOK.rule(
    "half-a-pair",
    "high",
    title="an adapter's matrix has no partner",
    why="The loader reads a matrix that is not there, or refuses the file.",
    remedy="do not load it; export the adapter again",
)
def _halves(walk: GgufWalk) -> Iterator[Hit]:
    if not walk.complete:
        return
    for name, held in _pairs(walk).items():
        if len(held) == 1:
            told = next(iter(held)).decode()
            yield Hit(f"{walk.name}:{name.decode('utf-8', 'surrogateescape')}", f"only {told[1:]} is there")


@BOOK.rule(
    "shapes-differ",
    "high",
    title="an adapter's two matrices do not fit each other",
    why="Multiplied without a check, one is read, or the model's weights are written, past the end.",
    remedy="do not load it; export the adapter again",
    sources=("llama.cpp #29128",),
)
def _shapes(walk: GgufWalk) -> Iterator[Hit]:
    for name, held in _pairs(walk).items():
        if len(held) != 2:
            continue
        first, second = held[_A].dims, held[_B].dims
        # of embeddings the first is stored turned over
        turned = name.startswith(b"token_embd")
        ranks = {first[1:2], second[:1]} | ({first[:1]} if turned else set())
        fits = len(ranks) == 1 or (turned and second[:1] in (first[:1], first[1:2]))
        if not fits or first[2:] != second[2:]:
            place = f"{walk.name}:{name.decode('utf-8', 'surrogateescape')}"
            yield Hit(place, f"{first} and {second}")
        elif second[:1] and not 0 < second[0] <= MAX_RANK:
            yield Hit(f"{walk.name}:{name.decode('utf-8', 'surrogateescape')}", f"rank {second[0]}")


@BOOK.rule(
    "kind-differs",
    "medium",
    title="the file says model and holds an adapter, or the reverse",
    why="What is added to another model's weights is loaded, and audited, otherwise than a model.",
    remedy="ask which it is, and audit it with the model that it is for",
)
def _kind(walk: GgufWalk) -> Iterator[Hit]:
    pairs, kind = _pairs(walk), walk.text("general.type")
    place = f"{walk.name}:general.type"
    if pairs and kind != "adapter":
        yield Hit(place, f"{kind!r:.60}, {len(pairs)} tensors have adapters")
    if kind == "adapter" and walk.complete and walk.tensors and not pairs and not holds_model(walk):
        alora = walk.text("adapter.type")
        if alora in (None, "lora"):
            yield Hit(place, "adapter, and no tensor is one's")
    others = [e for e in walk.tensors if not e.name.endswith((_A, _B))]
    if kind == "adapter" and pairs and others:
        yield Hit(f"{walk.name}:{others[0].text}", f"{len(others)} tensors replace the model's own", "low")


@BOOK.rule(
    "unspecified",
    "medium",
    title="an adapter does not say of what kind or how strong it is",
    why="Loaders refuse it, or take a strength of their own.",
    remedy="export the adapter again",
)
def _unspecified(walk: GgufWalk) -> Iterator[Hit]:
    if walk.text("general.type") == "adapter" and walk.complete:
        for key in ("adapter.type", "adapter.lora.alpha"):
            lora = walk.text("adapter.type") in (None, "lora")
            if key not in walk.metadata and (lora or key == "adapter.type"):
                yield Hit(f"{walk.name}:{key}", "missing")


@BOOK.rule(
    "scale",
    "high",
    title="an adapter's strength is no usable number",
    why="It multiplies what is added to every weight.",
    remedy="do not load it",
)
def _scale(walk: GgufWalk) -> Iterator[Hit]:
    number = real_number(walk, "adapter.lora.alpha")
    if number is not None and not (math.isfinite(number) and 0 < abs(number) <= MAX_RANK * 16):
        yield Hit(f"{walk.name}:adapter.lora.alpha", str(number))
