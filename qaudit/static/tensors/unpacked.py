"""The matrix that a packed module stands for: its shape and its bits, by its parts alone."""

from dataclasses import dataclass

from qaudit.static.tensors.dtypes import BITS
from qaudit.static.tensors.modules import Module
from qaudit.static.tensors.packed_words import PER_WORD, gptq_inputs


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A module as it is before packing.

    Attributes:
        shape: [out, in]; None where only the decoder could tell.
        elements: number of weights; None where only the decoder could tell.
        bits: of a code.
        type: for people: `BF16`, `AWQ 4-bit`, ...
    """

    shape: tuple[int, ...] | None
    elements: int | None
    bits: float | None
    type: str


def unpacked(module: Module) -> Unpacked:
    """Return what a module stands for."""
    packing = module.packing
    if packing == "words":
        return _words(module)
    if packing == "plain":
        part = next(iter(module.parts))
        held = module.parts.get("weight") or module.parts[part]
        return _of(held.tensor.shape, BITS.get(held.tensor.dtype), held.tensor.dtype)
    if packing == "compressed":
        return _compressed(module)
    if packing in ("bnb8", "scaled") and "weight" in module.parts:
        shape, dtype = module.shape("weight"), module.dtype("weight")
        if dtype == "U8" and shape:  # two 4-bit floats a byte
            return _of((*shape[:-1], 2 * shape[-1]), 4, "NVFP4")
        return _of(shape, BITS.get(dtype), dtype)
    if packing == "bnb4" and "weight" in module.parts:
        # by bytes: codes may be stored as any type, which makes no other codes of them
        return Unpacked(None, 2 * module.parts["weight"].tensor.size, 4, "bitsandbytes 4-bit")
    if packing == "blocks":
        shape = module.shape("blocks")
        if len(shape) >= 2:
            return _of((*shape[:-2], shape[-2] * shape[-1] * 2), 4, "MXFP4")
    return Unpacked(None, None, None, packing)


def _of(shape: tuple[int, ...], bits: float | None, name: str) -> Unpacked:
    elements = 1
    for length in shape:
        elements *= length
    return Unpacked(shape, elements, bits, name)


def _words(module: Module) -> Unpacked:
    if not {"qweight", "scales"} <= module.parts.keys():
        return Unpacked(None, None, None, "packed words")
    words, scales = module.shape("qweight"), module.shape("scales")
    if len(words) != 2 or len(scales) != 2:
        return Unpacked(None, None, None, "packed words")
    if scales[1] == words[1] * PER_WORD:
        return _of((scales[1], words[0]), 4, "AWQ 4-bit")
    told = gptq_inputs(module)
    if told is None or not told[0]:
        return Unpacked(None, None, None, "packed words")
    bits = words[0] * 32 / told[0]
    return _of((words[1], told[0]), bits, f"GPTQ {bits:.0f}-bit")


def _compressed(module: Module) -> Unpacked:
    shape, dtype = module.shape("weight_packed"), module.dtype("weight_packed")
    if dtype == "U8" and shape:
        return _of((*shape[:-1], 2 * shape[-1]), 4, "4-bit floats")
    # the number of inputs is a value, in weight_shape, and no length of a tensor
    return Unpacked(None, None, None, "compressed-tensors")
