"""The parts of a transformer's decoder blocks that quantization must know: who reads whose output.

Families whose blocks have separate query, key, value, gate and up projections and norms that multiply
by their weight (Llama and its kin).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from qaudit.errors import InputError

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
QUERY_KEY = ("self_attn.q_proj", "self_attn.k_proj")


@dataclass(frozen=True, slots=True)
class Stage:
    """Linear layers of a block that read the same input.

    Attributes:
        linears: their names within the block.
        writer: the norm or linear layer that writes that input; what it writes can be divided by
            channel if the linears multiply by the same.
        judged: the module whose output says how good the rounding is.
    """

    linears: tuple[str, ...]
    writer: str
    judged: str


STAGES = (
    Stage(("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "input_layernorm", "self_attn"),
    Stage(("self_attn.o_proj",), "self_attn.v_proj", "self_attn.o_proj"),
    Stage(("mlp.gate_proj", "mlp.up_proj"), "post_attention_layernorm", "mlp"),
    Stage(("mlp.down_proj",), "mlp.up_proj", "mlp.down_proj"),
)


def blocks_of(model: Any) -> Sequence[nn.Module]:  # noqa: ANN401 - transformers is untyped
    """Return the decoder blocks of a transformers model, first to last.

    Raises:
        InputError: a family whose blocks are not known here.
    """
    family = model.config.model_type
    if family not in FAMILIES:
        raise InputError(f"models of type {family!r} are not quantized here; known: {', '.join(FAMILIES)}")
    blocks: Sequence[nn.Module] = list(model.model.layers)
    return blocks


def linear(block: nn.Module, name: str) -> nn.Linear:
    """Return a linear layer of a block.

    Raises:
        InputError: the block has something else there.
    """
    found = block.get_submodule(name)
    if not isinstance(found, nn.Linear):
        raise InputError(f"{name} is a {type(found).__name__}, not a plain linear layer; give a float model")
    return found


def foldable(block: nn.Module, stage: Stage) -> bool:
    """Tell whether the writer writes just the channels that the stage's linears read.

    With grouped queries each value head serves several query heads: the output projection has more
    inputs than the value projection has outputs.
    """
    writer = block.get_submodule(stage.writer)
    readers = linear(block, stage.linears[0]).in_features
    return not isinstance(writer, nn.Linear) or writer.out_features == readers


def module_name(number: int, name: str) -> str:
    """Return the name of a block's module within the checkpoint."""
    return f"model.layers.{number}.{name}"
