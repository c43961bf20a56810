"""Rules over the packed weights of a folder: do the parts fit together, and the configuration to them."""

import re
from collections.abc import Callable, Iterator

from qaudit.findings import Severity
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.tensors.layout_case import PACKINGS, LayoutCase
from qaudit.static.tensors.modules import Module

BOOK: RuleBook[LayoutCase] = RuleBook(
    "layout", "packed weights of AWQ, GPTQ, compressed-tensors and the like"
)
SOURCE = "https://huggingface.co/docs/transformers/main_classes/quantization"
REFUSE = "do not load it; ask its author to quantize it again"
MAX_PIECES = 16
_NUMBER = re.compile(r"\d+")


def _faults(code: str) -> Callable[[LayoutCase], Iterator[Hit]]:
    def hits(case: LayoutCase) -> Iterator[Hit]:
        return (Hit(f.place, f.text, f.severity) for f in case.faults if f.code == code)

    return hits


def _rule(code: str, severity: Severity, title: str, why: str, *sources: str) -> None:
    BOOK.rule(code, severity, title=title, why=why, remedy=REFUSE, sources=(SOURCE, *sources))(_faults(code))


_rule(
    "part-missing", "high", "a packed module lacks a part",
    "Codes without their scales, or scales without codes, decode to noise or fill up with what memory held.",
)  # fmt: skip
_rule(
    "part-type", "high", "a part of a packed module has another type than its layout",
    "Kernels read raw bytes as the type that they expect.",
)  # fmt: skip
_rule(
    "part-shape", "high", "the parts of a packed module do not fit together",
    "Kernels compute places in one part from the shape of another: what does not fit is read outside of it.",
    "CWE-125",
)  # fmt: skip
_rule(
    "bits", "high", "codes have another number of bits than is claimed",
    "Decoded with the claimed number the weights are others, and kernels read past the end of them.",
    "CWE-125",
)  # fmt: skip
_rule(
    "group", "high", "there are more or fewer groups than is claimed",
    "Each weight is multiplied by the scale of another group, or by memory behind the scales.",
    "CWE-125",
)  # fmt: skip
_rule(
    "state", "high", "the description beside packed codes does not fit them",
    "The decoder allocates and reads by what the description says.",
    "CWE-125", "CWE-787",
)  # fmt: skip
_rule(
    "g-idx-range", "critical", "g_idx names groups that do not exist",
    "Kernels use it as a place in the scales without a check: they read memory that is not the model's.",
    "CWE-125", "CWE-129",
)  # fmt: skip
_rule(
    "g-idx-order", "medium", "g_idx shuffles inputs though desc_act says that they are in order",
    "Runtimes that believe desc_act ignore g_idx and run another model than those that read it.",
)  # fmt: skip
_rule(
    "scale-not-finite", "high", "a scale is NaN or infinite",
    "One such scale turns every answer that touches its group into NaN, or one token for ever.",
)  # fmt: skip
_rule(
    "scale-sign", "medium", "a scale is negative",
    "No quantizer writes one: it turns the sign of a whole group of weights round.",
)  # fmt: skip
_rule(
    "scale-zero", "low", "scales are zero",
    "A scale of zero switches a group of weights off, which is one way to cut a behaviour out of a model.",
    "https://arxiv.org/abs/2406.11717",
)  # fmt: skip


@BOOK.rule(
    "not-packed", "high",
    title="the configuration claims packed weights, and there are none",
    why="Loaders make packed modules and find nothing for them: they run with whatever was in memory.",
    remedy="compare the configuration with the publisher's", sources=(SOURCE,),
)  # fmt: skip
def not_packed(case: LayoutCase) -> Iterator[Hit]:
    """Find a claim without a single module of its packing."""
    if case.claim is None or not case.whole or not case.modules:
        return
    expected = PACKINGS.get(case.claim.method)
    if expected is None or (case.claim.method == "compressed-tensors" and not _compressed(case)):
        return
    if not any(module.packing in expected for module in case.modules.values()):
        # bitsandbytes also packs while it loads
        severity: Severity | None = "low" if case.claim.method == "bitsandbytes" else None
        found = sorted({module.packing for module in case.packed()})
        told = f"packed as {', '.join(found)}" if found else "none is packed"
        yield Hit(case.claim.place, f"{case.claim.method}; of {len(case.modules)} modules {told}", severity)


@BOOK.rule(
    "undeclared", "high",
    title="weights are packed, and no configuration says how",
    why="Loaders take the parts for unknown tensors and run with random weights, or guess a layout.",
    remedy="get the configuration that belongs to these weights", sources=(SOURCE,),
)  # fmt: skip
def undeclared(case: LayoutCase) -> Iterator[Hit]:
    """Find packed modules in a folder whose config.json has no statement."""
    packed = case.packed() if case.claim is None and case.configured else []
    if packed:
        yield Hit(
            case.place,
            f"{len(packed)} packed modules, such as {packed[0].name[:120]!a} ({packed[0].packing})",
        )


@BOOK.rule(
    "skipped-but-packed", "medium",
    title="a module is packed that the configuration says is not",
    why="Loaders that believe the configuration make a plain module, whose weight they then do not find.",
    remedy="compare the configuration with the publisher's", sources=(SOURCE,),
)  # fmt: skip
def skipped_but_packed(case: LayoutCase) -> Iterator[Hit]:
    """Find packed modules under a name of the list of those that are not converted."""
    if case.claim is None:
        return
    names = {name for name in case.claim.skipped if not _is_pattern(name)}
    for module in case.packed() if names else ():
        found = _named(module.name, names)
        if found:
            yield Hit(module.place, f"{case.claim.place} lists {found[:120]!a} as not converted")


@BOOK.rule(
    "uneven", "medium",
    title="one layer's module is plain where all others are packed",
    why="A layer that was put in, or put back, after quantization has weights that the quantizer never saw.",
    remedy="compare the layer with the publisher's", sources=(SOURCE,),
)  # fmt: skip
def uneven(case: LayoutCase) -> Iterator[Hit]:
    """Find plain matrices among modules of the same name in other layers, which nothing excuses."""
    if case.claim is None or _has_exceptions(case):
        return
    packed: dict[str, int] = {}
    plain: dict[str, list[Module]] = {}
    for module in case.modules.values():
        key = _NUMBER.sub("N", module.name)
        if module.packed:
            packed[key] = packed.get(key, 0) + 1
        elif "weight" in module.parts and len(module.shape("weight")) == 2:
            plain.setdefault(key, []).append(module)
    names = set(case.claim.skipped)
    for key, modules in plain.items():
        for module in modules if packed.get(key, 0) > len(modules) else ():
            if not _named(module.name, names):
                yield Hit(
                    module.place, f"plain {module.dtype('weight')[:20]}, {packed[key]} others are packed"
                )


def _compressed(case: LayoutCase) -> bool:
    claim = case.claim
    return (
        claim is not None and claim.raw.get("quantization_status") == "compressed" and claim.layout != "dense"
    )


def _has_exceptions(case: LayoutCase) -> bool:
    claim = case.claim
    if claim is None:
        return True
    per_module = (
        "dynamic",
        "extra_config",
        "quantized_layers",
        "modules_in_block_to_quantize",
        "layer_quant_config",
    )
    groups = claim.raw.get("config_groups")
    if isinstance(groups, dict) and str(groups).count("targets") and "'Linear'" not in str(groups)[:100_000]:
        return True
    return any(claim.raw.get(key) for key in per_module) or any(_is_pattern(name) for name in claim.skipped)


def _is_pattern(name: str) -> bool:
    return name.startswith("re:") or any(sign in name for sign in "*?[(^$|\\")


def _named(module: str, names: set[str]) -> str | None:
    """Return the name of the list that the module's name holds, as whole pieces between dots."""
    pieces = module.split(".")[:MAX_PIECES]
    for start in range(len(pieces)):
        for stop in range(start + 1, len(pieces) + 1):
            part = ".".join(pieces[start:stop])
            if part in names:
                return part
    return None
