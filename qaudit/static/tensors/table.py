"""A tensor table of any format as matrices by module name, so that two models can be laid side by side."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from qaudit.static.folder_view import Entry
from qaudit.static.gguf.ggml_types import PACKINGS
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.model_parts import ModelParts, TensorRow
from qaudit.static.tensors.modules import gathered
from qaudit.static.tensors.safetensors_walk import SafetensorsWalk, StoredTensor
from qaudit.static.tensors.unpacked import Unpacked, unpacked
from qaudit.static.tensors.weight_files import Held

# names of GGUF's tensors and those of transformers, for decoders laid out as Llama's
_OUTSIDE = {"token_embd": "model.embed_tokens", "output": "lm_head", "output_norm": "model.norm"}
_INSIDE = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
}  # fmt: skip
_BLOCK = LazyPattern(r"blk\.(\d{1,6})\.(\w+)")
# a model with images nests the decoder; its layers are the same
_NESTED = LazyPattern(r"(?:model\.language_model\.|language_model\.model\.|language_model\.)(.+)")
_BITS_OF_GGML = {
    packing.name: 8 * packing.bytes / packing.weights
    for packings in PACKINGS.values()
    for packing in packings[:1]
}


@dataclass(frozen=True, slots=True)
class Row:
    """One matrix, vector or bias of a model.

    Attributes:
        packed: its codes stand for it.
        biased: the module has a bias beside its weight.
    """

    name: str
    what: Unpacked
    packed: bool
    biased: bool

    @property
    def matrix(self) -> bool:
        """Whether it has rows and columns, as far as that can be told."""
        return self.what.shape is None or len(self.what.shape) >= 2


@dataclass(slots=True)
class TensorTable:
    """All modules of one model by name; `format` as in `ModelParts`."""

    location: str
    format: str
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def typical_bits(self) -> float | None:
        """The median of the bits of all matrices; None without any."""
        bits = [row.what.bits for row in self.rows.values() if row.matrix and row.what.bits]
        return statistics.median(bits) if bits else None


def table_of(parts: ModelParts) -> TensorTable:
    """Return the table of a model."""
    table = TensorTable(parts.location, parts.format)
    if parts.format == "gguf":
        table.rows = _of_gguf(parts.tensors)
    else:
        table.rows = _of_folder(parts.location, parts.tensors)
    return table


def under_shared_names(table: TensorTable) -> Mapping[str, Row]:
    """Return the rows that both formats have, under the names of transformers."""
    found: dict[str, Row] = {}
    for name, row in table.rows.items():
        shared = _shared_name(name) if table.format == "gguf" else _unnested(name)
        if shared is not None:
            found.setdefault(shared, row)
    return found


def _shared_name(name: str) -> str | None:
    match = _BLOCK.fullmatch(name)
    if match:
        inside = _INSIDE.get(match[2])
        return f"model.layers.{match[1]}.{inside}" if inside else None
    return _OUTSIDE.get(name)


def _unnested(name: str) -> str:
    match = _NESTED.fullmatch(name)
    if match is None:
        return name
    return match[1] if match[1].startswith("lm_head") else f"model.{match[1].removeprefix('model.')}"


def _of_gguf(tensors: Sequence[TensorRow]) -> dict[str, Row]:
    names = {row.name for row in tensors}
    rows: dict[str, Row] = {}
    for row in tensors:
        name = row.name.removesuffix(".weight")
        if name.endswith(".bias") and f"{name.removesuffix('.bias')}.weight" in names:
            continue
        elements = 1
        for length in row.shape:
            elements *= length
        bits = _BITS_OF_GGML.get(row.type)
        biased = f"{name}.bias" in names
        rows.setdefault(name, Row(name, Unpacked(row.shape, elements, bits, row.type), False, biased))
    return rows


def _of_folder(location: str, tensors: Sequence[TensorRow]) -> dict[str, Row]:
    entry, walk = Entry(location, 0, "safetensors", None), SafetensorsWalk(location, 0)
    held = [Held(entry, walk, StoredTensor(row.name, row.type, row.shape, 0, row.bytes)) for row in tensors]
    return {
        name: Row(name, unpacked(module), module.packed, "bias" in module.parts and len(module.parts) > 1)
        for name, module in gathered(held).items()
    }
