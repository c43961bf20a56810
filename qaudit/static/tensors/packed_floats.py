"""Weights of 8- and 4-bit floats (or 8-bit integers) with scales: FP8, MXFP4, NVFP4, W8A8.

FP8: `weight` F8 [O, I], `weight_scale` (or `weight_scale_inv`) one value, [O], [O, 1] or one for each block
(arXiv 2412.19437). NVFP4: two codes a byte, a scale F8_E4M3 for 16 of them and a float for all. MXFP4: two
codes a byte, a power of two (U8) for 32 of them (OCP Microscaling Formats 1.0).
"""

from collections.abc import Iterator

from qaudit.static.configs.quantization import Claim
from qaudit.static.tensors.dtypes import EIGHT_BIT_FLOATS, SCALE_FLOATS
from qaudit.static.tensors.faults import Fault, required, shaped, typed, up
from qaudit.static.tensors.modules import Module
from qaudit.static.tensors.shapes import shape_text

NVFP4_GROUP, MXFP4_GROUP = 16, 32
_BLOCK = 128
_SCALES = SCALE_FLOATS | {"F64", "F8_E8M0"}
_POWERS = frozenset({"U8", "F8_E8M0"})


def check_scaled(module: Module, claim: Claim | None) -> Iterator[Fault]:
    """Check a `weight` that has a `weight_scale`."""
    dtype, shape = module.dtype("weight"), module.shape("weight")
    name = "weight_scale_inv" if "weight_scale_inv" in module.parts else "weight_scale"
    if len(shape) != 2:
        return  # fused experts: no layout that all agree on
    if dtype in EIGHT_BIT_FLOATS or dtype == "I8":
        yield from typed(module, name, _SCALES | {"U8"})
        yield from _scale_shape(module, name, claim)
    elif dtype == "U8":
        yield from nvfp4(module, "weight", "weight_scale_2")
    elif dtype in SCALE_FLOATS:
        text = f"weight is {dtype} and has a {name}: nothing says whether the scale is still to be applied"
        yield Fault("part-type", module.place, text, "medium")
    else:
        yield from typed(module, "weight", EIGHT_BIT_FLOATS | {"I8", "U8"})


def nvfp4(module: Module, part: str, whole_scale: str) -> Iterator[Fault]:
    """Check two 4-bit floats a byte with scales for 16, or powers of two for 32, of them."""
    yield from required(module, "weight_scale")
    if "weight_scale" not in module.parts or len(module.shape(part)) != 2:
        return
    outputs, half = module.shape(part)
    if module.dtype("weight_scale") in _POWERS:
        yield from shaped(module, "weight_scale", (outputs, up(2 * half, MXFP4_GROUP)))
        return
    yield from typed(module, "weight_scale", {"F8_E4M3", *_POWERS})
    yield from shaped(module, "weight_scale", (outputs, up(2 * half, NVFP4_GROUP)))
    yield from required(module, whole_scale)
    yield from typed(module, whole_scale, SCALE_FLOATS)
    yield from shaped(module, whole_scale, (), (1,), (1, 1))


def check_blocks(module: Module, claim: Claim | None) -> Iterator[Fault]:
    """Check MXFP4 of fused experts: `X_blocks` U8 [..., G, 16] and `X_scales` U8 [..., G]."""
    missing = list(required(module, "blocks", "scales"))
    yield from missing
    if missing:
        return
    yield from typed(module, "blocks", {"U8"})
    yield from typed(module, "scales", _POWERS)
    blocks, scales = module.shape("blocks"), module.shape("scales")
    if len(blocks) < 3 or blocks[-1] != MXFP4_GROUP // 2 or blocks[:-1] != scales:
        shapes = f"blocks are {shape_text(blocks)}, scales {shape_text(scales)}"
        text = f"{shapes}; blocks have 16 bytes for each scale"
        yield Fault("part-shape", module.place, text)


def _scale_shape(module: Module, name: str, claim: Claim | None) -> Iterator[Fault]:
    outputs, inputs = module.shape("weight")
    shape = module.shape(name)
    block = _block(claim)
    fits: list[tuple[int, ...]] = [(), (1,), (1, 1), (outputs,), (outputs, 1), (1, inputs)]
    fits.append((up(outputs, block[0]), up(inputs, block[1])))
    # a group along the inputs, of any length that divides them
    by_group = len(shape) == 2 and shape[0] == outputs and shape[1] and inputs % shape[1] == 0
    if shape not in fits and not by_group:
        text = f"{name} is {shape_text(shape)}, which fits no way to scale {outputs}x{inputs}"
        yield Fault("part-shape", module.place, f"{text} with blocks of {block[0]}x{block[1]}")


def _block(claim: Claim | None) -> tuple[int, int]:
    found = claim.raw.get("weight_block_size") if claim is not None else None
    if isinstance(found, list) and len(found) == 2 and all(type(v) is int and 0 < v < 1 << 30 for v in found):
        return found[0], found[1]
    return _BLOCK, _BLOCK
