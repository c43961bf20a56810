"""AWQ and GPTQ: codes packed into 32-bit words.

AWQ "gemm": qweight I32 [I, O/8], qzeros I32 [G, O/8], scales [G, O]; "gemv" turns them round and leaves
room. GPTQ: qweight I32 [I*b/32, O], qzeros I32 [G, O*b/32], scales [G, O], g_idx I32 [I]. The rules are
those of qaudit.checkpoints.codecs, which raise at the first that is broken.
"""

from collections.abc import Iterator

from qaudit.static.configs.quantization import Claim
from qaudit.static.tensors.dtypes import SCALE_FLOATS
from qaudit.static.tensors.faults import Fault, required, shaped, typed, up
from qaudit.static.tensors.modules import Module
from qaudit.static.tensors.shapes import shape_text

AWQ_BITS, PER_WORD = 4, 8
# layouts made for one kernel, whose shapes say nothing to others
_OTHER_LAYOUTS = frozenset(
    {"marlin", "gptq_marlin", "bitblas", "gemv_fast", "llm-awq", "exllama", "ipex", "qqq"}
)


def check_words(module: Module, claim: Claim | None) -> Iterator[Fault]:
    """Check one module of AWQ or GPTQ, by the method that is claimed or else by its shapes."""
    missing = list(required(module, "qweight", "scales"))
    yield from missing
    if missing or (claim is not None and claim.layout in _OTHER_LAYOUTS):
        return
    if len(module.shape("qweight")) != 2 or len(module.shape("scales")) != 2:
        # experts fused into one tensor have a dimension more, and no layout that all agree on
        yield from _dimensions(module)
        return
    yield from typed(module, "qweight", {"I32"})
    yield from typed(module, "qzeros", {"I32"})
    yield from typed(module, "scales", SCALE_FLOATS)
    if _is_awq(module, claim):
        yield from _awq(module, claim)
    else:
        yield from _gptq(module, claim)


def gptq_inputs(module: Module) -> tuple[int, int] | None:
    """Return (inputs, groups) of a GPTQ module; None where its parts do not tell."""
    bits = _bits_by_zeros(module)
    if not bits or "scales" not in module.parts or len(module.shape("scales")) != 2:
        return None
    return module.shape("qweight")[0] * 32 // bits, module.shape("scales")[0]


def _is_awq(module: Module, claim: Claim | None) -> bool:
    if claim is not None and claim.method in ("awq", "gptq"):
        return claim.method == "awq"
    return "g_idx" not in module.parts and module.shape("scales")[1] == PER_WORD * module.shape("qweight")[1]


def _dimensions(module: Module) -> Iterator[Fault]:
    lengths = {len(module.shape(part)) for part in ("qweight", "scales")}
    if len(lengths) > 1 or min(lengths) < 2:
        shapes = [shape_text(module.shape(part)) for part in ("qweight", "scales")]
        text = f"qweight is {shapes[0]}, scales are {shapes[1]}"
        yield Fault("part-shape", module.place, text)


def _awq(module: Module, claim: Claim | None) -> Iterator[Fault]:
    if "qzeros" not in module.parts and (claim is None or claim.raw.get("zero_point") is not False):
        yield from required(module, "qzeros")
    inputs, words = module.shape("qweight")
    if claim is not None and claim.layout == "gemv":
        yield from _gemv(module, claim)
        return
    groups, outputs = module.shape("scales")
    if outputs != words * PER_WORD:
        text = f"scales of {outputs} outputs, qweight of {words} words which hold {words * PER_WORD}"
        yield Fault("bits", module.place, text)
        return
    yield from shaped(module, "qzeros", (groups, words))
    yield from _groups(module, claim, inputs, groups)


def _gemv(module: Module, claim: Claim) -> Iterator[Fault]:
    outputs, words = module.shape("qweight")
    if "qzeros" in module.parts and len(module.shape("qzeros")) == 2:
        room = module.shape("qzeros")[1] * PER_WORD
        yield from shaped(module, "qzeros", (outputs, room // PER_WORD))
        yield from shaped(module, "scales", (outputs, room))
        group = claim.group_size or 0
        inputs = words * PER_WORD
        if group > 0 and room < up(inputs, group):
            yield Fault("group", module.place, f"room for {room} groups, {up(inputs, group)} are needed")


def _gptq(module: Module, claim: Claim | None) -> Iterator[Fault]:
    yield from required(module, "qzeros")
    words, outputs = module.shape("qweight")
    groups = module.shape("scales")[0]
    yield from shaped(module, "scales", (groups, outputs))
    bits = _bits_by_zeros(module)
    claimed = claim.bits if claim is not None and not _per_module(claim) else None
    if "qzeros" in module.parts and not bits:
        text = f"qzeros are {shape_text(module.shape('qzeros'))} for {groups} groups of {outputs} outputs"
        yield Fault("part-shape", module.place, text)
        return
    bits = bits or claimed
    if bits is None or bits <= 0:
        return  # what is claimed is impossible, of which the rules of configuration tell
    if claimed is not None and bits != claimed:
        yield Fault(
            "bits", module.place, f"its zeros have {bits} bits, {claim.place if claim else ''} says {claimed}"
        )
    if words * 32 % bits:
        yield Fault("bits", module.place, f"{words} words are no whole number of {bits}-bit codes")
        return
    inputs = words * 32 // bits
    if "g_idx" in module.parts:
        yield from typed(module, "g_idx", {"I32", "I64"})
        # an empty one says that inputs are in order
        yield from shaped(module, "g_idx", (inputs,), (0,))
    elif claim is not None and claim.desc_act and not _per_module(claim):
        yield Fault("part-missing", module.place, f"has no g_idx; {claim.place} says desc_act true")
    yield from _groups(module, claim, inputs, groups)


def _bits_by_zeros(module: Module) -> int | None:
    """Return the bits of a code as the width of the zeros tells; None where no number fits."""
    if "qzeros" not in module.parts or "qweight" not in module.parts:
        return None
    zeros, weights = module.shape("qzeros"), module.shape("qweight")
    if len(zeros) != 2 or len(weights) != 2 or not weights[1]:
        return None
    fitting = [b for b in (2, 3, 4, 5, 6, 7, 8) if up(weights[1] * b, 32) == zeros[1]]
    # few outputs leave part of the last word unused, so that several numbers fit
    index = module.parts.get("g_idx")
    inputs = index.tensor.elements if index is not None else None
    best = [b for b in fitting if weights[0] * 32 == (inputs or -1) * b]
    return next(iter(best or [b for b in fitting if weights[1] * b % 32 == 0] or fitting), None)


def _groups(module: Module, claim: Claim | None, inputs: int, groups: int) -> Iterator[Fault]:
    if claim is None or claim.group_size in (None, 0) or _per_module(claim):
        return
    size = inputs if claim.group_size == -1 else claim.group_size or 0
    needed = up(inputs, size) if size > 0 else 0
    if needed and groups != needed:
        text = f"{groups} groups for {inputs} inputs, {claim.place} says {claim.group_size} inputs a group"
        yield Fault("group", module.place, text)


def _per_module(claim: Claim) -> bool:
    return bool(claim.raw.get("dynamic") or claim.raw.get("extra_config") or claim.raw.get("module_config"))
