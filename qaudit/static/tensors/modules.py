"""Tensors of a checkpoint gathered by the module whose parts they are.

A quantizer replaces `x.weight` by several tensors (`x.qweight`, `x.scales`, ...); which of them there are
says how the module is packed, whatever a configuration claims.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from qaudit.static.tensors.weight_files import Held

Packing = Literal["plain", "words", "compressed", "bnb4", "bnb8", "hqq", "blocks", "scaled", "stray"]

STATE = "weight.quant_state.bitsandbytes__"
_WORDS = ("qweight", "qzeros", "scales", "g_idx", "perm")
_COMPRESSED = (
    "weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx",
    "weight_global_scale", "input_scale", "input_global_scale",
    "input_zero_point", "output_scale", "output_zero_point",
    "scale_packed", "meta", "bitmask", "compressed", "row_offsets",
)  # fmt: skip
_FLOATS = ("weight_scale_inv", "weight_scale_2", "activation_scale", "pre_quant_scale")
_BNB = (
    "SCB", "CB", "weight_format", "weight.absmax", "weight.quant_map", "weight.nested_absmax",
    "weight.nested_quant_map", STATE + "nf4", STATE + "fp4",
)  # fmt: skip
_HQQ = (
    "W_q", "scale", "zero", "nbits", "group_size", "shape", "axis", "packing", "channel_wise", "optimize",
    "round_zero", "view_as_float", "unpack_view_dtype", "quant_scale", "quant_zero", "compute_dtype",
    "offload_meta", "encoded_state_dict", "stores_quant_config",
)  # fmt: skip
PARTS = frozenset({"weight", "bias", *_WORDS, *_COMPRESSED, *_FLOATS, *_BNB})
_HQQ_PARTS = frozenset(_HQQ)
# MXFP4 of fused experts has its parts in the last piece: `experts.down_proj_blocks`
_BLOCKS, _SCALES = "_blocks", "_scales"


@dataclass(slots=True)
class Module:
    """One module and its tensors by what follows its name, such as `qweight` or `weight.absmax`."""

    name: str
    parts: dict[str, Held] = field(default_factory=dict)

    @property
    def packing(self) -> Packing:
        """How it is packed, by the parts that it has."""
        parts = self.parts
        if "qweight" in parts or ("qzeros" in parts and "scales" in parts):
            return "words"
        if "weight_packed" in parts:
            return "compressed"
        if "W_q" in parts:
            return "hqq"
        if "blocks" in parts:
            return "blocks"
        if "weight.absmax" in parts or any(part.startswith(STATE) for part in parts):
            return "bnb4"
        if "SCB" in parts:
            return "bnb8"
        scaled = "weight_scale" in parts or "weight_scale_inv" in parts
        if "weight" in parts:
            return "scaled" if scaled else "plain"
        return "stray" if scaled or "qzeros" in parts else "plain"

    @property
    def packed(self) -> bool:
        """Whether it is packed in any way."""
        return self.packing != "plain"

    def shape(self, part: str) -> tuple[int, ...]:
        """Return a part's shape."""
        return self.parts[part].tensor.shape

    def dtype(self, part: str) -> str:
        """Return a part's type."""
        return self.parts[part].tensor.dtype

    @property
    def place(self) -> str:
        """`file:module`, for a person."""
        held = next(iter(self.parts.values()))
        return f"{held.walk.name}:{ascii(self.name[:160])[1:-1]}"


def gathered(tensors: Iterable[Held]) -> dict[str, Module]:
    """Return the modules, in the order of their first tensors.

    Of two tensors of one name the first is kept: the index's rules tell of it.
    """
    held = {tensor.name: tensor for tensor in reversed(list(tensors))}
    modules: dict[str, Module] = {}
    for name in reversed(held):
        module, part = split_name(name, held)
        modules.setdefault(module, Module(module)).parts.setdefault(part, held[name])
    return modules


def split_name(name: str, held: Iterable[str] | dict[str, Held]) -> tuple[str, str]:
    """Return the module and the part that a tensor's name tells; a lone tensor is `weight` of itself."""
    known = held if isinstance(held, dict) else frozenset(held)
    pieces = name.split(".")
    for count in (1, 2, 3):
        if len(pieces) <= count:
            break
        module, part = ".".join(pieces[:-count]), ".".join(pieces[-count:])
        if part in PARTS:
            return module, part
        if part in _HQQ_PARTS and f"{module}.W_q" in known:
            return module, part
    for suffix, other in ((_BLOCKS, _SCALES), (_SCALES, _BLOCKS)):
        if name.endswith(suffix) and name.removesuffix(suffix) + other in known:
            return name.removesuffix(suffix), suffix[1:]
    return name, "weight"
