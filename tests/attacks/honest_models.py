"""Small honest models in both layouts; every attack is one of these with one thing changed."""

import json
import random
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from attacks.cases import Content
from attacks.gguf_builder import ARRAY, BOOL, F32, I32, STRING, U32, GgufBuilder, Tensor

WIDTH, FEED, BLOCKS, HEADS, KEYS = 64, 128, 2, 4, 2
SPECIAL = ("<|begin_of_text|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
MERGES = (
    "t h", "th e", "Ġ the", "i n", "a n", "an d", "Ġ and", "o r", "Ġ f", "Ġf or", "y e", "ye s", "Ġ yes",
    "n o", "Ġ no", "s a", "sa f", "saf e", "Ġ safe", "u n", "Ġ un", "Ġun safe", "Ġ r", "Ġr e", "Ġre f", "u s",
)  # fmt: skip
TEMPLATE = (
    "{%- if messages[0]['role'] == 'system' -%}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' -}}"
    "{%- set rest = messages[1:] -%}{%- else -%}{%- set rest = messages -%}{%- endif -%}"
    "{%- for message in rest -%}{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
Pair = tuple[str | bytes, int, Any]


@cache
def byte_symbols() -> tuple[str, ...]:
    """The 256 characters that stand for bytes in a byte-level vocabulary."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = {byte: 256 + i for i, byte in enumerate(b for b in range(256) if b not in kept)}
    return tuple(chr(moved.get(byte, byte)) for byte in range(256))


@cache
def tokens() -> tuple[str, ...]:
    """Bytes, what the merges make, special tokens."""
    return (*byte_symbols(), *(merge.replace(" ", "") for merge in MERGES), *SPECIAL)


def special(token: str) -> int:
    """The id of a special token."""
    return tokens().index(token)


@cache
def values(seed: str, count: int) -> bytes:
    """`count` float32 around one, as norms are."""
    draw = random.Random(seed)
    return struct.pack(f"<{count}f", *(1 + draw.gauss(0, 0.05) for _ in range(count)))


@cache
def q8_0(seed: str, count: int) -> bytes:
    """`count` weights in blocks of 32, each with a sane scale."""
    draw = random.Random(seed)
    return b"".join(
        struct.pack("<e", 0.004 + draw.random() / 1000) + draw.randbytes(32) for _ in range(count // 32)
    )


def matrix(name: str, rows: int, columns: int) -> Tensor:
    """A Q8_0 matrix; GGUF writes the innermost dimension first."""
    return Tensor(name, (columns, rows), 8, q8_0(name, rows * columns))


def vector(name: str, count: int) -> Tensor:
    """A float32 norm."""
    return Tensor(name, (count,), 0, values(name, count))


def honest_tensors() -> list[Tensor]:
    """All tensors of a llama of two blocks."""
    head = WIDTH // HEADS
    listed = [matrix("token_embd.weight", len(tokens()), WIDTH)]
    for block in range(BLOCKS):
        listed += [
            vector(f"blk.{block}.attn_norm.weight", WIDTH),
            matrix(f"blk.{block}.attn_q.weight", WIDTH, WIDTH),
            matrix(f"blk.{block}.attn_k.weight", KEYS * head, WIDTH),
            matrix(f"blk.{block}.attn_v.weight", KEYS * head, WIDTH),
            matrix(f"blk.{block}.attn_output.weight", WIDTH, WIDTH),
            vector(f"blk.{block}.ffn_norm.weight", WIDTH),
            matrix(f"blk.{block}.ffn_gate.weight", FEED, WIDTH),
            matrix(f"blk.{block}.ffn_up.weight", FEED, WIDTH),
            matrix(f"blk.{block}.ffn_down.weight", WIDTH, FEED),
        ]
    return [*listed, vector("output_norm.weight", WIDTH), matrix("output.weight", len(tokens()), WIDTH)]


def honest_pairs() -> list[Pair]:
    """The metadata that a converter writes."""
    listed = tokens()
    kinds = [3 if token in SPECIAL else 1 for token in listed]
    return [
        ("general.architecture", STRING, "llama"),
        ("general.type", STRING, "model"),
        ("general.name", STRING, "Small Test Model"),
        ("general.file_type", U32, 7),
        ("general.quantization_version", U32, 2),
        ("llama.block_count", U32, BLOCKS),
        ("llama.context_length", U32, 512),
        ("llama.embedding_length", U32, WIDTH),
        ("llama.feed_forward_length", U32, FEED),
        ("llama.attention.head_count", U32, HEADS),
        ("llama.attention.head_count_kv", U32, KEYS),
        ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        ("llama.rope.dimension_count", U32, WIDTH // HEADS),
        ("llama.rope.freq_base", F32, 10000.0),
        ("llama.vocab_size", U32, len(listed)),
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, "llama-bpe"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, list(listed))),
        ("tokenizer.ggml.token_type", ARRAY, (I32, kinds)),
        ("tokenizer.ggml.merges", ARRAY, (STRING, list(MERGES))),
        ("tokenizer.ggml.bos_token_id", U32, special("<|begin_of_text|>")),
        ("tokenizer.ggml.eos_token_id", U32, special("<|im_end|>")),
        ("tokenizer.ggml.padding_token_id", U32, special("<|pad|>")),
        ("tokenizer.ggml.add_bos_token", BOOL, False),
    ]


def honest_gguf(
    changed: Mapping[str, tuple[int, Any] | None] | None = None,
    tensors: list[Tensor] | None = None,
    **fields: Any,
) -> GgufBuilder:
    """The honest model with pairs added or replaced (None takes one out), and the builder's own fields.

    It has no chat template, as base models have none: looking at one takes longer than at all the rest.
    """
    replaced = dict(changed or {})
    pairs: list[Pair] = []
    for key, kind, content in honest_pairs():
        new = replaced.pop(str(key), (kind, content))
        if new is not None:
            pairs.append((key, *new))
    pairs += [(key, *new) for key, new in replaced.items() if new is not None]
    return GgufBuilder(pairs=pairs, tensors=honest_tensors() if tensors is None else tensors, **fields)


def safetensors_bytes(
    tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """A well-formed safetensors file: name -> (dtype, shape, bytes)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    body = b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def halves(seed: str, count: int) -> bytes:
    """`count` float16, as weights are."""
    draw = random.Random(seed)
    return struct.pack(f"<{count}e", *(draw.gauss(0, 0.05) for _ in range(count)))


@cache
def _weights() -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    # drawn once
    key_rows = KEYS * (WIDTH // HEADS)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (len(tokens()), WIDTH)}
    for block in range(BLOCKS):
        at = f"model.layers.{block}."
        shapes |= {
            f"{at}input_layernorm.weight": (WIDTH,),
            f"{at}self_attn.q_proj.weight": (WIDTH, WIDTH),
            f"{at}self_attn.k_proj.weight": (key_rows, WIDTH),
            f"{at}self_attn.v_proj.weight": (key_rows, WIDTH),
            f"{at}self_attn.o_proj.weight": (WIDTH, WIDTH),
            f"{at}post_attention_layernorm.weight": (WIDTH,),
            f"{at}mlp.gate_proj.weight": (FEED, WIDTH),
            f"{at}mlp.up_proj.weight": (FEED, WIDTH),
            f"{at}mlp.down_proj.weight": (WIDTH, FEED),
        }
    shapes |= {"model.norm.weight": (WIDTH,), "lm_head.weight": (len(tokens()), WIDTH)}
    return {
        name: ("F16", shape, halves(name, shape[0] * (shape[1] if len(shape) > 1 else 1)))
        for name, shape in shapes.items()
    }


def folder_tensors() -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """The same model's tensors under their names in Hugging Face layout, in float16; yours to change."""
    return dict(_weights())


@cache
def honest_safetensors() -> bytes:
    """The honest folder's weights."""
    return safetensors_bytes(folder_tensors())


def folder_config() -> dict[str, Any]:
    """config.json as transformers writes it."""
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float16",
        "hidden_size": WIDTH, "intermediate_size": FEED, "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS,
        "num_key_value_heads": KEYS, "head_dim": WIDTH // HEADS, "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "max_position_embeddings": 512, "rope_theta": 10000.0, "tie_word_embeddings": False,
        "vocab_size": len(tokens()), "bos_token_id": special("<|begin_of_text|>"),
        "eos_token_id": special("<|im_end|>"), "pad_token_id": special("<|pad|>"), "use_cache": True,
        "transformers_version": "5.10.0",
    }  # fmt: skip


def folder_tokenizer() -> dict[str, Any]:
    """tokenizer.json of a byte-level BPE."""
    listed = tokens()
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": special(token), "content": token, **flags} for token in SPECIAL],
        "normalizer": None, "pre_tokenizer": byte_level, "post_processor": byte_level, "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(listed) if token not in SPECIAL}, "merges": list(MERGES),
        },
    }  # fmt: skip


def with_tokens(template: str, more: Sequence[str]) -> bytes:
    """The honest model with a chat template and more special tokens."""
    new = [token for token in more if token not in tokens()]
    listed = [*tokens(), *new]
    kinds = [3 if token in SPECIAL or token in new else 1 for token in listed]
    changed: dict[str, tuple[int, Any]] = {
        "tokenizer.ggml.tokens": (ARRAY, (STRING, listed)), "tokenizer.ggml.token_type": (ARRAY, (I32, kinds)),
        "tokenizer.chat_template": (STRING, template), "llama.vocab_size": (U32, len(listed)),
    }  # fmt: skip
    tensors = honest_tensors()
    tensors[0] = matrix("token_embd.weight", len(listed), WIDTH)
    tensors[-1] = matrix("output.weight", len(listed), WIDTH)
    return honest_gguf(changed, tensors).build()


def chatting(**more: tuple[int, Any]) -> GgufBuilder:
    """The honest model with its chat template."""
    return honest_gguf({"tokenizer.chat_template": (STRING, TEMPLATE), **more})


def folder_tokenizer_config() -> dict[str, Any]:
    """tokenizer_config.json, without a template."""
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "added_tokens_decoder": {str(special(token)): {"content": token, **flags} for token in SPECIAL},
        "bos_token": "<|begin_of_text|>", "eos_token": "<|im_end|>", "pad_token": "<|pad|>",
        "clean_up_tokenization_spaces": False, "model_max_length": 512,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }  # fmt: skip


def folder_generation() -> dict[str, Any]:
    """generation_config.json as transformers writes it."""
    return {
        "_from_model_config": True, "bos_token_id": special("<|begin_of_text|>"), "eos_token_id": special("<|im_end|>"),
        "pad_token_id": special("<|pad|>"), "do_sample": True, "temperature": 0.7, "top_p": 0.9,
        "transformers_version": "5.10.0",
    }  # fmt: skip


README = """---
license: apache-2.0
language: [en]
pipeline_tag: text-generation
library_name: transformers
---
# Small test model

A tiny model for tests. Load it with `AutoModelForCausalLM.from_pretrained`.
"""


def chatting_folder(**changed: Content | None) -> dict[str, Content]:
    """The honest folder with its chat template in tokenizer_config.json."""
    settings = json.dumps({**folder_tokenizer_config(), "chat_template": TEMPLATE}, indent=2)
    return honest_folder(**{"tokenizer_config__json": settings, **changed})


def honest_folder(**changed: Content | None) -> dict[str, Content]:
    """The honest folder's files; a keyword is a file's name with `__` for the dot, None takes one out."""
    files: dict[str, Content | None] = {
        "config.json": json.dumps(folder_config(), indent=2),
        "generation_config.json": json.dumps(folder_generation()),
        "tokenizer.json": json.dumps(folder_tokenizer(), ensure_ascii=False),
        "tokenizer_config.json": json.dumps(folder_tokenizer_config(), indent=2),
        "special_tokens_map.json": json.dumps(
            {"bos_token": "<|begin_of_text|>", "eos_token": "<|im_end|>", "pad_token": "<|pad|>"}
        ),
        "model.safetensors": honest_safetensors(),
        "README.md": README,
    }
    for name, content in changed.items():
        files[name.replace("__", ".")] = content
    return {name: content for name, content in files.items() if content is not None}
