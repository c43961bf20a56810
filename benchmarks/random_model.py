"""A Llama-shaped GGUF with random weights and a working byte-pair tokenizer, for speed figures only."""

import itertools
import string
from pathlib import Path

import gguf
import numpy as np

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIALS = ["<|bos|>", "<|end|>", "<|user|>", "<|assistant|>"]


def byte_alphabet() -> list[str]:
    """Return GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, shift = {}, 0
    for byte in range(256):
        if byte in printable:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(256 + shift)
            shift += 1
    return [table[b] for b in range(256)]


def vocabulary(size: int) -> tuple[list[str], list[str]]:
    """Return tokens and merges: bytes, letter pairs, then pairs of pairs, up to `size` tokens."""
    tokens = byte_alphabet()
    merges: list[str] = []
    pairs = [(a, b) for a, b in itertools.product("Ġ" + string.ascii_lowercase, string.ascii_lowercase)]
    pairs += [
        (a + b, c + d)
        for a, b, c, d in itertools.product(
            "Ġ" + string.ascii_lowercase, "aeiourst", string.ascii_lowercase, string.ascii_lowercase
        )
    ]
    for left, right in pairs:
        if len(tokens) >= size - len(SPECIALS):
            break
        tokens.append(left + right)
        merges.append(f"{left} {right}")
    return tokens + SPECIALS, merges


def write_random_llama(
    path: Path,
    *,
    layers: int = 14,
    hidden: int = 1024,
    ffn: int = 2816,
    heads: int = 16,
    kv_heads: int = 4,
    vocab: int = 32000,
    seed: int = 0,
) -> int:
    """Write an F16 GGUF; return its number of parameters."""
    rng = np.random.default_rng(seed)
    tokens, merges = vocabulary(vocab)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("random-llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (len(tokens) - len(SPECIALS)) + [3] * len(SPECIALS))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(len(tokens) - 4)
    writer.add_eos_token_id(len(tokens) - 3)
    writer.add_chat_template(CHAT_TEMPLATE)
    count = 0

    def add(name: str, *shape: int) -> None:
        nonlocal count
        count += int(np.prod(shape))
        if len(shape) == 1:
            writer.add_tensor(name, np.ones(shape, np.float32))
        else:
            writer.add_tensor(
                name, (rng.standard_normal(shape, np.float32) / np.sqrt(shape[-1])).astype(np.float16)
            )

    vocab_size = len(tokens)
    kv = hidden // heads * kv_heads
    add("token_embd.weight", vocab_size, hidden)
    for i in range(layers):
        add(f"blk.{i}.attn_norm.weight", hidden)
        add(f"blk.{i}.attn_q.weight", hidden, hidden)
        add(f"blk.{i}.attn_k.weight", kv, hidden)
        add(f"blk.{i}.attn_v.weight", kv, hidden)
        add(f"blk.{i}.attn_output.weight", hidden, hidden)
        add(f"blk.{i}.ffn_norm.weight", hidden)
        add(f"blk.{i}.ffn_gate.weight", ffn, hidden)
        add(f"blk.{i}.ffn_up.weight", ffn, hidden)
        add(f"blk.{i}.ffn_down.weight", hidden, ffn)
    add("output_norm.weight", hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return count
