"""bitsandbytes (4 and 8 bit) and HQQ: codes in bytes, with a description of their own beside them.

bitsandbytes 4 bit: `weight` U8 [O*I/2, 1], `weight.absmax` for each block, a table of 16 values, and JSON
in `weight.quant_state.bitsandbytes__nf4`; 8 bit: `weight` I8 [O, I], `SCB` F32 [O]. HQQ: `W_q` packed along
its first dimension, `scale` and `zero` for each group, and the quantizer's settings as small tensors.
"""

from collections.abc import Iterator, Mapping

from qaudit.static.configs.lenient_json import read_json
from qaudit.static.configs.quantization import Claim
from qaudit.static.tensors.dtypes import SCALE_FLOATS
from qaudit.static.tensors.faults import Fault, required, shaped, typed, up
from qaudit.static.tensors.modules import STATE, Module
from qaudit.static.tensors.shapes import shape_text

MAX_STATE = 1 << 16  # bytes of JSON
# codes of so many bits in a byte, or in a 32-bit word for three bits
_HQQ_PER_VALUE = {8: 1, 4: 2, 2: 4, 1: 8, 3: 10}


def state_part(module: Module) -> str | None:
    """Return the name of the part that describes a 4-bit module."""
    return next((part for part in module.parts if part.startswith(STATE)), None)


def check_bnb4(module: Module, claim: Claim | None) -> Iterator[Fault]:
    """Check the parts of a 4-bit module; what its description says is `check_state`'s."""
    missing = list(required(module, "weight", "weight.absmax", "weight.quant_map"))
    yield from missing
    part = state_part(module)
    if part is None:
        yield Fault(
            "part-missing", module.place, "has codes of 4 bits and no quant_state that describes them"
        )
    else:
        yield from typed(module, part, {"U8"})
    yield from typed(module, "weight.absmax", {"F32", "U8", "F16", "BF16"})
    yield from shaped(module, "weight.quant_map", (16,))
    if "weight.absmax" in module.parts and module.dtype("weight.absmax") == "U8":
        yield from required(module, "weight.nested_absmax", "weight.nested_quant_map")
        yield from shaped(module, "weight.nested_quant_map", (256,))


def check_state(module: Module, raw: bytes) -> Iterator[Fault]:
    """Check what a description says against the codes."""
    document = read_json(raw)
    value = document.value
    if document.problem or document.duplicates or not isinstance(value, dict):
        told = (
            document.problem or f"the key {document.duplicates[0][:60]!a} twice"
            if document.duplicates
            else "no object"
        )
        yield Fault("state", module.place, f"quant_state: {document.problem or told}")
        return
    shape, block = value.get("shape"), value.get("blocksize")
    whole = isinstance(shape, list) and shape and all(type(v) is int and 0 < v < 1 << 40 for v in shape)
    if not isinstance(shape, list) or not whole or len(shape) > 8:
        yield Fault("state", module.place, f"quant_state: shape {str(shape)[:80]!a}")
        return
    if type(block) is not int or not 0 < block <= 1 << 20:
        yield Fault("state", module.place, f"quant_state: blocksize {str(block)[:60]!a}")
        return
    count = 1
    for length in shape:
        count *= length
    codes = module.parts["weight"].tensor.size if "weight" in module.parts else up(count, 2)
    if codes != up(count, 2):
        text = f"quant_state tells {shape_text(tuple(shape))}, {codes} bytes of codes are there"
        yield Fault("state", module.place, text, "critical")
        return
    blocks = up(count, block)
    yield from shaped(module, "weight.absmax", (blocks,), (blocks, 1))
    nested = value.get("nested_blocksize")
    if type(nested) is int and 0 < nested <= 1 << 20:
        yield from shaped(module, "weight.nested_absmax", (up(blocks, nested),))


def check_bnb8(module: Module, claim: Claim | None) -> Iterator[Fault]:
    """Check a module of 8-bit integers."""
    missing = list(required(module, "weight"))
    yield from missing
    if missing:
        return
    yield from typed(module, "weight", {"I8"})
    yield from typed(module, "SCB", {"F32"})
    shape = module.shape("weight")
    if len(shape) == 2:
        yield from shaped(module, "SCB", (shape[0],))


def check_hqq(module: Module, claim: Claim | None) -> Iterator[Fault]:
    """Check a module of HQQ by the sizes of its codes, scales and zeros."""
    yield from typed(module, "W_q", {"U8", "I32", *SCALE_FLOATS})
    yield from required(module, "scale", "zero")
    if "scale" not in module.parts or "zero" not in module.parts:
        return
    # quantized scales are nested and have no values of their own here
    yield from typed(module, "scale", SCALE_FLOATS)
    scales = module.parts["scale"].tensor.elements
    zeros = module.parts["zero"].tensor.elements
    if scales != zeros and 1 not in (scales, zeros):
        text = f"scale is {shape_text(module.shape('scale'))}, zero {shape_text(module.shape('zero'))}"
        yield Fault("part-shape", module.place, text)
    codes = module.parts["W_q"].tensor
    if claim is None or claim.bits not in _HQQ_PER_VALUE or not scales or codes.dtype in SCALE_FLOATS:
        return
    held = codes.elements * _HQQ_PER_VALUE[claim.bits]
    if codes.dtype != ("I32" if claim.bits == 3 else "U8"):
        yield Fault("bits", module.place, f"codes of {codes.dtype}, {claim.bits} bits are claimed")
    elif held < scales:
        yield Fault("part-shape", module.place, f"{held} codes for {scales} groups")


def check_hqq_settings(module: Module, settings: Mapping[str, tuple[int, ...]]) -> Iterator[Fault]:
    """Check the settings that lie beside the codes: `shape`, `nbits`, `group_size`."""
    bits = next(iter(settings.get("nbits", ())), None)
    size = next(iter(settings.get("group_size", ())), None)
    if bits is not None and bits not in _HQQ_PER_VALUE:
        yield Fault("state", module.place, f"nbits {bits}")
        return
    count = 1
    for length in settings.get("shape", ()):
        count *= max(length, 0)
    codes = module.parts["W_q"].tensor
    if bits is not None and settings.get("shape") and codes.dtype in ("U8", "I32"):
        held = codes.elements * _HQQ_PER_VALUE[bits]
        # three bits are padded to whole words along each column
        room = held if bits != 3 else held - held // 10
        if not room <= count <= held and not (bits == 3 and count <= held):
            text = f"shape tells {count} weights, {held} codes of {bits} bits are there"
            yield Fault("state", module.place, text, "critical" if count > held else None)
    if size and count and "scale" in module.parts and count % size == 0:
        groups = count // size
        if module.parts["scale"].tensor.elements not in (groups, 1):
            yield Fault(
                "group", module.place, f"{module.parts['scale'].tensor.elements} scales for {groups} groups"
            )
