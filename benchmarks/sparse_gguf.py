"""A GGUF of a real model's header and of no content: 128k tokens, 279k merges, 291 Q4_K tensors as a hole of 1 GB."""

import struct
from itertools import product
from pathlib import Path

TOKENS, BLOCKS, WIDTH, FEED = 128_256, 32, 1792, 6144
STRING, ARRAY, U32, F32, I32 = 8, 9, 4, 6, 5
TEMPLATE = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def text(content: str) -> bytes:
    """A length-prefixed string."""
    raw = content.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, kind: int, value: bytes) -> bytes:
    """A key, a type and a value."""
    return text(key) + struct.pack("<I", kind) + value


def texts(items: list[str]) -> bytes:
    """An array of strings."""
    return struct.pack("<IQ", STRING, len(items)) + b"".join(map(text, items))


def vocabulary() -> tuple[list[str], list[str]]:
    """Tokens that are all different, and every way in which two of them make a third, as a trained BPE has it."""
    letters = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 324))]
    made = [
        "".join(word)
        for size, of in ((2, 160), (3, 37), (4, 15))
        for word in product(letters[:of], repeat=size)
    ]
    merges = [f"{word[:cut]} {word[cut:]}" for word in made for cut in range(1, len(word))]
    tokens = letters + made
    tokens += [f"word{i}" for i in range(TOKENS - 4 - len(tokens))]
    return [*tokens, "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|pad|>"], merges


def write_sparse(path: Path) -> Path:
    """Write it; the data is a hole."""
    tokens, merges = vocabulary()
    kinds = [1] * (TOKENS - 4) + [3] * 4
    u32 = struct.Struct("<I").pack
    pairs = [
        pair("general.architecture", STRING, text("llama")), pair("general.name", STRING, text("Sparse")),
        pair("general.file_type", U32, u32(14)), pair("general.quantization_version", U32, u32(2)),
        pair("llama.block_count", U32, u32(BLOCKS)), pair("llama.context_length", U32, u32(8192)),
        pair("llama.embedding_length", U32, u32(WIDTH)), pair("llama.feed_forward_length", U32, u32(FEED)),
        pair("llama.attention.head_count", U32, u32(28)), pair("llama.attention.head_count_kv", U32, u32(4)),
        pair("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5)),
        pair("llama.rope.dimension_count", U32, u32(64)), pair("llama.vocab_size", U32, u32(TOKENS)),
        pair("tokenizer.ggml.model", STRING, text("gpt2")), pair("tokenizer.ggml.pre", STRING, text("llama-bpe")),
        pair("tokenizer.ggml.tokens", ARRAY, texts(tokens)),
        pair("tokenizer.ggml.token_type", ARRAY, struct.pack(f"<IQ{TOKENS}i", I32, TOKENS, *kinds)),
        pair("tokenizer.ggml.merges", ARRAY, texts(merges)),
        pair("tokenizer.ggml.bos_token_id", U32, u32(TOKENS - 2)), pair("tokenizer.ggml.eos_token_id", U32, u32(TOKENS - 3)),
        pair("tokenizer.ggml.padding_token_id", U32, u32(TOKENS - 1)), pair("tokenizer.chat_template", STRING, text(TEMPLATE)),
    ]  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (WIDTH, TOKENS)}
    for block in range(BLOCKS):
        at = f"blk.{block}."
        shapes |= {
            f"{at}attn_norm.weight": (WIDTH,), f"{at}attn_q.weight": (WIDTH, WIDTH), f"{at}attn_k.weight": (WIDTH, 256),
            f"{at}attn_v.weight": (WIDTH, 256), f"{at}attn_output.weight": (WIDTH, WIDTH), f"{at}ffn_norm.weight": (WIDTH,),
            f"{at}ffn_gate.weight": (WIDTH, FEED), f"{at}ffn_up.weight": (WIDTH, FEED), f"{at}ffn_down.weight": (FEED, WIDTH),
        }  # fmt: skip
    shapes |= {"output_norm.weight": (WIDTH,), "output.weight": (WIDTH, TOKENS)}
    table, offset = [], 0
    for name, shape in shapes.items():
        kind, size = (0, 4 * shape[0]) if len(shape) == 1 else (12, shape[0] * shape[1] // 256 * 144)
        table.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset))
        offset += size + -size % 32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(pairs)) + b"".join(pairs) + b"".join(table)
    head += b"\0" * (-len(head) % 32)
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(len(head) + offset)
    return path
