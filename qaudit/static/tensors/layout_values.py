"""What the values of packed modules' small parts say: scales, groups of inputs, shapes and descriptions."""

from collections.abc import Iterator

from qaudit.static.byte_source import ByteSource
from qaudit.static.configs.quantization import Claim
from qaudit.static.tensors.faults import Fault
from qaudit.static.tensors.modules import STATE, Module
from qaudit.static.tensors.packed_bytes import MAX_STATE, check_hqq_settings, check_state
from qaudit.static.tensors.packed_compressed import check_shape_values
from qaudit.static.tensors.packed_words import gptq_inputs
from qaudit.static.tensors.value_reading import (
    Budget,
    ScaleFacts,
    index_facts,
    raw_bytes,
    scale_facts,
    whole_numbers,
)
from qaudit.static.tensors.weight_files import Held

# parts that multiply codes
_SCALES = frozenset({
    "scales", "weight_scale", "weight_scale_inv", "weight_scale_2", "weight_global_scale", "input_scale",
    "input_global_scale", "scale",
})  # fmt: skip
# largest magnitudes of a block, which are zero where all its weights are
_MAGNITUDES = frozenset({"weight.absmax", "weight.nested_absmax", "SCB"})
MANY_ZEROS = 0.25


def faults_of_values(
    source: ByteSource, module: Module, held: Held, claim: Claim | None, budget: Budget
) -> Iterator[Fault]:
    """Look at the values of one part.

    Raises:
        InputError: the file cannot be read.
    """
    part = next((name for name, tensor in module.parts.items() if tensor is held), "")
    packing = module.packing
    if part in _SCALES and packing != "plain":
        dtype = "F8_E8M0" if held.tensor.dtype == "U8" else None
        facts = scale_facts(source, held, budget, dtype)
        if facts is not None:
            yield from _scale_faults(held, facts, zeros_are_news=packing in ("words", "compressed", "hqq"))
    elif part in _MAGNITUDES and held.tensor.dtype != "U8":
        facts = scale_facts(source, held, budget)
        if facts is not None:
            yield from _scale_faults(held, facts, zeros_are_news=False)
    elif part == "zero" and packing == "hqq":
        facts = scale_facts(source, held, budget)
        if facts is not None and facts.not_finite:
            yield Fault("scale-not-finite", held.place, f"{facts.not_finite} of {facts.count}; {facts.first}")
    elif part in ("g_idx", "weight_g_idx"):
        yield from _index_faults(source, module, held, claim, budget)
    elif part == "weight_shape" and "weight_packed" in module.parts:
        yield from check_shape_values(module, whole_numbers(source, held, 8), claim)
    elif part.startswith(STATE):
        if held.tensor.size > MAX_STATE:
            yield Fault("state", held.place, f"a description of {held.tensor.size} bytes")
        else:
            yield from check_state(module, raw_bytes(source, held, MAX_STATE))
    elif part == "W_q":
        yield from check_hqq_settings(module, _hqq_settings(source, module, held))


def _scale_faults(held: Held, facts: ScaleFacts, *, zeros_are_news: bool) -> Iterator[Fault]:
    if facts.not_finite:
        yield Fault(
            "scale-not-finite", held.place, f"{facts.not_finite} of {facts.count}; the first is {facts.first}"
        )
    if facts.negative:
        yield Fault("scale-sign", held.place, f"{facts.negative} of {facts.count}")
    if facts.zero and facts.count:
        many = facts.zero > MANY_ZEROS * facts.count
        if many or zeros_are_news:
            yield Fault(
                "scale-zero", held.place, f"{facts.zero} of {facts.count}", "medium" if many else "low"
            )


def _index_faults(
    source: ByteSource, module: Module, held: Held, claim: Claim | None, budget: Budget
) -> Iterator[Fault]:
    groups = _groups(module)
    if not groups or not held.tensor.elements:
        return
    inputs = held.tensor.elements
    size = -(-inputs // groups)
    claimed = claim.group_size if claim is not None else None
    if claimed is not None and claimed > 0 and -(-inputs // claimed) == groups:
        size = claimed
    facts = index_facts(source, held, budget, size, groups)
    if facts is None:
        return
    # compressed-tensors marks a g_idx that is not used with -1
    if held.name.endswith("weight_g_idx") and facts.lowest == facts.highest == -1:
        return
    if facts.first_bad is not None:
        seen = f"values from {facts.lowest} to {facts.highest}"
        told = f"{seen}, of {groups} groups; the first is input {facts.first_bad}"
        yield Fault("g-idx-range", held.place, told)
    elif not facts.in_order and claim is not None and claim.method == "gptq" and claim.desc_act is False:
        yield Fault("g-idx-order", held.place, f"{claim.place} says desc_act false")


def _groups(module: Module) -> int:
    if "weight_scale" in module.parts:
        shape = module.shape("weight_scale")
        return shape[1] if len(shape) == 2 else 0
    told = gptq_inputs(module)
    if told is not None:
        return told[1]
    return module.shape("scales")[0] if "scales" in module.parts and module.shape("scales") else 0


def _hqq_settings(source: ByteSource, module: Module, held: Held) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for name in ("nbits", "group_size", "shape"):
        part = module.parts.get(name)
        # settings lie beside their codes; a shard boundary between them is not worth another file
        if part is not None and part.entry.path == held.entry.path:
            found[name] = whole_numbers(source, part, 8)
    return found
