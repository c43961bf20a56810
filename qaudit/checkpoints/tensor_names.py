"""Which GGUF tensors hold which parameter of transformers, family by family.

Module names are turned into GGUF's by gguf-py's own tables. What llama.cpp's converter does to the values
is here: rows of query and key are reordered from rotary halves to adjacent pairs for the Llama family,
and Gemma's norms are stored with 1 added. Parameter names are those of transformers 5.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import gguf

from qaudit.checkpoints.model_sizes import ModelSizes
from qaudit.errors import InputError

Layout = Literal["separate", "fused", "phi"]


@dataclass(frozen=True, slots=True)
class Family:
    """How the GGUFs of one model type lie.

    Attributes:
        architecture: general.architecture of its GGUFs.
        layout: of the linear layers: apart, with q, k, v and gate, up fused, or as Phi 2 has them.
        rotary_pairs: query and key rows are reordered.
        norm_offset: what the converter adds to the weights of every norm.
        head_norms: query and key have norms of their own.
        four_norms: each layer has norms after attention and feed-forward too.
    """

    architecture: str
    layout: Layout = "separate"
    rotary_pairs: bool = False
    norm_offset: float = 0.0
    head_norms: bool = False
    four_norms: bool = False


FAMILIES = {
    "llama": Family("llama", rotary_pairs=True),
    "mistral": Family("llama", rotary_pairs=True),
    "mixtral": Family("llama", rotary_pairs=True),
    "qwen2": Family("qwen2"),
    "qwen2_moe": Family("qwen2moe"),
    "qwen3": Family("qwen3", head_norms=True),
    "qwen3_moe": Family("qwen3moe", head_norms=True),
    "gemma": Family("gemma", norm_offset=1.0),
    "gemma2": Family("gemma2", norm_offset=1.0, four_norms=True),
    "gemma3_text": Family("gemma3", norm_offset=1.0, head_norms=True, four_norms=True),
    "phi3": Family("phi3", layout="fused"),
    "phi": Family("phi2", layout="phi"),
}  # fmt: skip
ARCHITECTURES = tuple(dict.fromkeys(family.architecture for family in FAMILIES.values()))


@dataclass(frozen=True, slots=True)
class Source:
    """Outputs [start, start + count) of a GGUF module that has `total` of them."""

    module: str
    start: int
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of transformers and where a GGUF holds it.

    Attributes:
        shape: as transformers has it.
        sources: one after another they give its outputs; what is left at the end is padding.
        heads: above 0, the outputs lie as llama.cpp's adjacent rotary pairs in so many heads.
        offset: what the GGUF's values have more than the parameter's.
    """

    name: str
    shape: tuple[int, ...]
    sources: tuple[Source, ...]
    heads: int = 0
    offset: float = 0.0


def parameters(sizes: ModelSizes, modules: Collection[str], vocabulary: int) -> list[Parameter]:
    """Return every parameter that a model of these sizes has in transformers, in its order there.

    Args:
        sizes: of the reference.
        modules: names that the GGUF has; an older one may hold q, k and v in one module.
        vocabulary: rows of the GGUF's embedding matrix; missing ones are padding.

    Raises:
        InputError: a part of the model has no place in a GGUF of its family.
    """
    return list(_Model(sizes, modules, vocabulary).parameters())


@dataclass(frozen=True, slots=True)
class _Linear:
    """A linear layer: `sources` as pairs of module and outputs; None for itself."""

    outputs: int
    inputs: int
    bias: bool = False
    heads: int = 0


class _Model:
    def __init__(self, sizes: ModelSizes, modules: Collection[str], vocabulary: int) -> None:
        self.sizes = sizes
        self.family = FAMILIES[sizes.model_type]
        self.modules = modules
        self.vocabulary = min(vocabulary, sizes.vocabulary)
        self.stored_vocabulary = vocabulary
        architecture = next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == self.family.architecture)
        # one block's names serve for all: the number is put in
        self.names = gguf.get_tensor_name_map(architecture, 1)
        self.top = "model.language_model." if sizes.nested else "model."

    def parameters(self) -> Iterator[Parameter]:
        sizes = self.sizes
        yield self._vocabulary_matrix(f"{self.top}embed_tokens", "model.embed_tokens")
        for number in range(sizes.layers):
            yield from self._layer(number)
        phi = self.family.layout == "phi"
        yield from self._norm("final_layernorm" if phi else "norm", None, sizes.hidden)
        if not sizes.tied:
            yield self._vocabulary_matrix("lm_head", "lm_head")
            if phi:
                source = Source("output.bias", 0, self.vocabulary, self.stored_vocabulary)
                yield Parameter("lm_head.bias", (sizes.vocabulary,), (source,))

    def _layer(self, number: int) -> Iterator[Parameter]:
        sizes = self.sizes
        query, key = sizes.heads * sizes.head_size, sizes.kv_heads * sizes.head_size
        if self.family.layout == "fused":
            yield from self._linear("self_attn.qkv_proj", number, query + 2 * key, sizes.hidden)
        else:
            yield from self._projection("q", number, 0, query, sizes.heads)
            yield from self._projection("k", number, query, key, sizes.kv_heads)
            yield from self._projection("v", number, query + key, key, 0)
        out = "self_attn.dense" if self.family.layout == "phi" else "self_attn.o_proj"
        yield from self._linear(out, number, sizes.hidden, query, bias=sizes.output_bias)
        if self.family.head_norms:
            yield from self._norm("self_attn.q_norm", number, sizes.head_size)
            yield from self._norm("self_attn.k_norm", number, sizes.head_size)
        yield from self._experts(number) if sizes.experts else self._feed_forward(number)
        yield from self._norm("input_layernorm", number, sizes.hidden)
        if self.family.layout == "phi":
            return
        yield from self._norm("post_attention_layernorm", number, sizes.hidden)
        if self.family.four_norms:
            yield from self._norm("pre_feedforward_layernorm", number, sizes.hidden)
            yield from self._norm("post_feedforward_layernorm", number, sizes.hidden)

    def _projection(
        self, letter: str, number: int, start: int, outputs: int, heads: int
    ) -> Iterator[Parameter]:
        sizes = self.sizes
        name = f"self_attn.{letter}_proj"
        heads = heads if self.family.rotary_pairs else 0
        fused = f"blk.{number}.attn_qkv"
        if fused in self.modules:
            # Phi 2 from before transformers took it apart
            total = (sizes.heads + 2 * sizes.kv_heads) * sizes.head_size
            full = f"{self.top}layers.{number}.{name}"
            yield Parameter(
                f"{full}.weight", (outputs, sizes.hidden), (Source(fused, start, outputs, total),), heads
            )
            if sizes.qkv_bias:
                yield Parameter(
                    f"{full}.bias", (outputs,), (Source(f"{fused}.bias", start, outputs, total),), heads
                )
        else:
            yield from self._linear(name, number, outputs, sizes.hidden, bias=sizes.qkv_bias, heads=heads)

    def _feed_forward(self, number: int) -> Iterator[Parameter]:
        hidden, inner, bias = self.sizes.hidden, self.sizes.feed_forward, self.sizes.mlp_bias
        if self.family.layout == "phi":
            yield from self._linear("mlp.fc1", number, inner, hidden, bias=bias)
            yield from self._linear("mlp.fc2", number, hidden, inner, bias=bias)
        elif self.family.layout == "fused":
            yield from self._linear("mlp.gate_up_proj", number, 2 * inner, hidden)
            yield from self._linear("mlp.down_proj", number, hidden, inner)
        else:
            yield from self._gated("mlp", number, inner, bias)

    def _gated(self, name: str, number: int, inner: int, bias: bool = False) -> Iterator[Parameter]:
        hidden = self.sizes.hidden
        yield from self._linear(f"{name}.gate_proj", number, inner, hidden, bias=bias)
        yield from self._linear(f"{name}.up_proj", number, inner, hidden, bias=bias)
        yield from self._linear(f"{name}.down_proj", number, hidden, inner, bias=bias)

    def _experts(self, number: int) -> Iterator[Parameter]:
        count, hidden, inner = self.sizes.experts, self.sizes.hidden, self.sizes.expert_feed_forward
        yield from self._linear("mlp.gate", number, count, hidden)
        gate, up, down = (self._stored(f"mlp.experts.{n}_proj", number) for n in ("gate", "up", "down"))
        # transformers holds each expert's gate and up as one matrix
        halves = tuple(
            Source(module, expert * inner, inner, count * inner)
            for expert in range(count)
            for module in (gate, up)
        )
        full = f"{self.top}layers.{number}.mlp.experts"
        yield Parameter(f"{full}.gate_up_proj", (count, 2 * inner, hidden), halves)
        total = count * hidden
        yield Parameter(f"{full}.down_proj", (count, hidden, inner), (Source(down, 0, total, total),))
        if self.sizes.shared_feed_forward:
            yield from self._gated("mlp.shared_expert", number, self.sizes.shared_feed_forward)
            yield from self._linear("mlp.shared_expert_gate", number, 1, hidden)

    def _linear(
        self, name: str, number: int, outputs: int, inputs: int, *, bias: bool = False, heads: int = 0
    ) -> Iterator[Parameter]:
        module, full = self._stored(name, number), f"{self.top}layers.{number}.{name}"
        yield Parameter(f"{full}.weight", (outputs, inputs), (Source(module, 0, outputs, outputs),), heads)
        if bias:
            source = Source(f"{module}.bias", 0, outputs, outputs)
            yield Parameter(f"{full}.bias", (outputs,), (source,), heads)

    def _norm(self, name: str, number: int | None, size: int) -> Iterator[Parameter]:
        module = self._stored(name, number)
        full = f"{self.top}{name}" if number is None else f"{self.top}layers.{number}.{name}"
        source = Source(module, 0, size, size)
        yield Parameter(f"{full}.weight", (size,), (source,), offset=self.family.norm_offset)
        if self.family.layout == "phi":
            yield Parameter(f"{full}.bias", (size,), (Source(f"{module}.bias", 0, size, size),))

    def _vocabulary_matrix(self, full: str, name: str) -> Parameter:
        source = Source(self._mapped(name), 0, self.vocabulary, self.stored_vocabulary)
        return Parameter(f"{full}.weight", (self.sizes.vocabulary, self.sizes.hidden), (source,))

    def _stored(self, name: str, number: int | None) -> str:
        if number is None:
            return self._mapped(f"model.{name}")
        return self._mapped(f"model.layers.0.{name}").replace("blk.0.", f"blk.{number}.", 1)

    def _mapped(self, name: str) -> str:
        found = self.names.get_name(name)
        if found is None:
            raise InputError(
                f"a {self.family.architecture} GGUF has no place for {name}; give the reference as a GGUF"
            )
        return str(found)
