"""compressed-tensors with codes in words or bytes: `pack-quantized`, `nvfp4-pack-quantized`, `mxfp4-…`.

`weight_packed` I32 [O, I*b/32], `weight_scale` one value, [O, 1] or [O, G], `weight_shape` I64 [2] holding
(O, I), without symmetry `weight_zero_point` I32 [O*b/32, G], with act-order `weight_g_idx` I32 [I].
"""

from collections.abc import Iterator, Mapping, Sequence

from qaudit.static.configs.quantization import Claim, weight_schemes
from qaudit.static.tensors.dtypes import SCALE_FLOATS
from qaudit.static.tensors.faults import Fault, required, shaped, typed, up
from qaudit.static.tensors.modules import Module
from qaudit.static.tensors.packed_floats import nvfp4
from qaudit.static.tensors.shapes import shape_text

_SPARSE = frozenset({"marlin-24", "sparse-24-bitmask", "sparse-bitmask"})


def check_compressed(module: Module, claim: Claim | None) -> Iterator[Fault]:
    """Check one module by its parts, and its bits and groups by what is claimed."""
    if (claim is not None and claim.layout in _SPARSE) or "scale_packed" in module.parts:
        return
    packed = module.shape("weight_packed")
    if len(packed) != 2:
        return  # fused experts
    if module.dtype("weight_packed") == "U8":
        yield from nvfp4(module, "weight_packed", "weight_global_scale")
        return
    yield from typed(module, "weight_packed", {"I32"})
    yield from required(module, "weight_scale", "weight_shape")
    yield from typed(module, "weight_scale", SCALE_FLOATS)
    yield from typed(module, "weight_shape", {"I64", "I32"})
    yield from shaped(module, "weight_shape", (2,))
    scale = module.shape("weight_scale") if "weight_scale" in module.parts else None
    outputs = packed[0]
    if (
        scale is not None
        and scale not in ((), (1,), (1, 1), (outputs,))
        and (len(scale) != 2 or scale[0] != outputs)
    ):
        yield Fault("part-shape", module.place, f"weight_scale is {shape_text(scale)} for {outputs} outputs")
    zero = module.shape("weight_zero_point") if "weight_zero_point" in module.parts else None
    if zero is not None and scale is not None and len(zero) == 2 == len(scale) and zero[1] != scale[1]:
        yield Fault(
            "part-shape", module.place, f"zero points are {shape_text(zero)}, scales {shape_text(scale)}"
        )


def check_shape_values(module: Module, values: tuple[int, ...], claim: Claim | None) -> Iterator[Fault]:
    """Check what `weight_shape` says, which decoders believe, against the packed codes."""
    packed = module.shape("weight_packed")
    if len(packed) != 2 or len(values) != 2 or module.dtype("weight_packed") != "I32":
        return
    outputs, inputs = values
    if outputs != packed[0] or not 0 < inputs < 1 << 40:
        text = f"weight_shape says {outputs}x{inputs}, {shape_text(packed)} words are packed"
        yield Fault("part-shape", module.place, text)
        return
    schemes = weight_schemes(claim) if claim is not None else []
    told = {bits for scheme in schemes if type(bits := scheme.get("num_bits")) is int and 0 < bits <= 32}
    fitting = {bits for bits in range(1, 9) if _words(inputs, bits) == packed[1]}
    if not fitting:
        yield Fault(
            "part-shape", module.place, f"{packed[1]} words an output hold no {inputs} codes of any size"
        )
        return
    if told and not told & fitting:
        have, want = ("/".join(map(str, sorted(bits))) for bits in (fitting, told))
        text = f"codes of {have} bits, {want} are claimed"
        yield Fault("bits", module.place, text)
    yield from _groups(module, inputs, schemes, claim)


def _words(inputs: int, bits: int) -> int:
    # codes do not straddle words but for those that divide 32; the library rounds up to whole words
    return up(inputs, 32 // bits) if bits not in (3, 5, 6, 7) else up(inputs * bits, 32)


def _groups(
    module: Module, inputs: int, schemes: Sequence[Mapping[str, object]], claim: Claim | None
) -> Iterator[Fault]:
    scale = module.shape("weight_scale") if "weight_scale" in module.parts else ()
    if claim is None or len(scale) != 2 or len(schemes) != 1:
        return
    size = schemes[0].get("group_size")
    if schemes[0].get("strategy") != "group" or type(size) is not int or size <= 0:
        return
    if scale[1] != up(inputs, size):
        text = f"{scale[1]} groups for {inputs} inputs, {claim.place} says {size} inputs a group"
        yield Fault("group", module.place, text)
