"""A random-weight folder of the lab's shape, and the lab's own reference."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

SPECIAL = ("<|bos|>", "<|user|>", "<|assistant|>", "<|end|>")
MERGES = (
    "h e", "Ġ t", "i n", "Ġ a", "he r", "Ġt he", "Ġ w", "o u", "r e", "Ġ s", "e r", "o n", "a t", "in g",
    "Ġ c", "Ġ o", "i t", "e n", "Ġ b", "Ġ m", "i s", "Ġa n", "Ġan d", "c e", "Ġ y", "Ġy ou", "l l", "' s",
)  # fmt: skip
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def byte_alphabet() -> list[str]:
    # GPT-2's printable stand-ins for the 256 bytes
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    letters = dict(zip(printable, map(chr, printable), strict=True))
    letters.update({byte: chr(256 + place) for place, byte in enumerate(hidden)})
    return [letters[byte] for byte in range(256)]


def write_tokenizer(folder: Path) -> int:
    """Write the tokenizer files; return the number of tokens."""
    tokens = [*SPECIAL, *byte_alphabet(), *(merge.replace(" ", "") for merge in MERGES)]
    spec = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for index, token in enumerate(SPECIAL)
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True,
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in MERGES],
        },
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
    settings = {
        "bos_token": "<|bos|>",
        "eos_token": {"content": "<|end|>"},
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return len(tokens)


def write_folder(folder: Path, *, layers: int = 3, hidden: int = 256, feed_forward: int = 512) -> Path:
    """Write a random Llama whose activations are of a natural size, so that errors would show."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_tokenizer(folder) + 4
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocabulary,
        "hidden_size": hidden, "intermediate_size": feed_forward, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": hidden // 4, "hidden_act": "silu",
        "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
        "attention_bias": False, "mlp_bias": False, "bos_token_id": 0, "eos_token_id": 3,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}, "dtype": "float16",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    rng = np.random.default_rng(7)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (rng.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float16)

    tensors = {
        "model.embed_tokens.weight": matrix(vocabulary, hidden),
        "model.norm.weight": np.ones(hidden, np.float16),
    }
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}.{norm}.weight"] = rng.uniform(0.5, 1.5, hidden).astype(np.float16)
        half = hidden // 2
        for name, rows in (("q_proj", hidden), ("k_proj", half), ("v_proj", half), ("o_proj", hidden)):
            tensors[f"{prefix}.self_attn.{name}.weight"] = matrix(rows, hidden)
        tensors[f"{prefix}.mlp.gate_proj.weight"] = matrix(feed_forward, hidden)
        tensors[f"{prefix}.mlp.up_proj.weight"] = matrix(feed_forward, hidden)
        tensors[f"{prefix}.mlp.down_proj.weight"] = matrix(hidden, feed_forward)
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def random_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight reference folder; read only."""
    return write_folder(tmp_path_factory.mktemp("random") / "reference")
