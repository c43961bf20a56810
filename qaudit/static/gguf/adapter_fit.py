"""A LoRA adapter beside the model that it is for: every product must fit the weight it is added to."""

from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.findings import Finding
from qaudit.static.model_parts import ModelParts, TensorRow
from qaudit.static.rules import Hit, RuleBook

LOADER = "https://github.com/ggml-org/llama.cpp/blob/master/src/llama-adapter.cpp"


@dataclass(frozen=True, slots=True)
class Laid:
    """An adapter and the model that it is for."""

    adapter: ModelParts
    base: ModelParts


BOOK: RuleBook[Laid] = RuleBook("adapter", "A LoRA adapter beside the model that it is for.")


@BOOK.rule(
    "other-model",
    "high",
    title="the adapter is not for this model",
    why="llama.cpp compares two of a weight's sizes and, before the mend of #29128, not the number of "
    "experts: a wrong one writes past the tensor.",
    remedy="use the adapter with the model that it was trained on",
    sources=("https://github.com/ggml-org/llama.cpp/issues/29128", LOADER),
)
def _other_model(laid: Laid) -> Iterator[Hit]:
    key = "general.architecture"
    own, base = laid.adapter.settings.get(key), laid.base.settings.get(key)
    if own is not None and base is not None and own != base:
        yield Hit(f"{laid.adapter.location}:{key}", f"{own!r}; the model is {base!r}")
    weights = {row.name: row for row in laid.base.tensors}
    for row in laid.adapter.tensors:
        name, dot, half = row.name.rpartition(".lora_")
        if not dot:
            continue
        weight = weights.get(name)
        place = f"{laid.adapter.location}:{row.name}"
        if weight is None:
            yield Hit(place, f"the model has no {name}")
        else:
            fault = _against(row, weight, half)
            if fault:
                yield Hit(place, fault)


def compare_adapter(adapter: ModelParts, base: ModelParts) -> list[Finding]:
    """Return where an adapter does not fit a model; both as GGUF."""
    return BOOK.findings(Laid(adapter, base))


def _against(row: TensorRow, weight: TensorRow, half: str) -> str | None:
    own, base = _filled(row.shape[::-1]), _filled(weight.shape[::-1])
    if row.name.startswith("token_embd."):
        have, want = own[1], base[1] if half == "a" else base[0]
    else:
        have, want = (own[0], base[0]) if half == "a" else (own[1], base[1])
    if have != want:
        return f"is for a size of {have}, the model's {weight.name} has {want}"
    if own[2] != base[2]:
        return f"is for {own[2]} experts, the model's {weight.name} has {base[2]}"
    return None


def _filled(dims: tuple[int, ...]) -> tuple[int, ...]:
    return (*dims, 1, 1, 1, 1)[: max(4, len(dims))]
