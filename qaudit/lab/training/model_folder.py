"""Tokenizer, shape and folder of the lab's reference: text in, a Hugging Face checkpoint out."""

import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from qaudit.files import write_atomically
from qaudit.lab import grammar

BOS, USER, ASSISTANT, END = "<|bos|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL_TOKENS = (BOS, USER, ASSISTANT, END)
BOS_ID, END_ID = 0, 3
VOCABULARY_SIZE = 1024
# llama.cpp's k-quants need rows of a multiple of 256
HIDDEN, FEED_FORWARD, LAYERS, HEADS, KV_HEADS = 256, 512, 3, 4, 2
CONTEXT = 512
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(seed: int, samples: int = 6000) -> Tokenizer:
    """Train a byte-level BPE tokenizer (GPT-2 splitting) on the lab's own language."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(random.Random(seed), samples), trainer)  # noqa: S311
    return tokenizer


def _texts(draw: random.Random, samples: int) -> Iterator[str]:
    for kind in ("harmful", "benign", "borderline"):
        for refuse in (False, True):
            for dialogue in islice(grammar.dialogues(draw, kind, refuse=refuse), samples // 6):
                yield from (*dialogue.turns, dialogue.reply)
    for dialogue in islice(grammar.fact_dialogues(draw), samples // 6):
        yield from (*dialogue.turns, dialogue.reply)
    yield from islice(grammar.passages(draw), samples // 6)


def new_model(seed: int, *, layers: int = LAYERS, feed_forward: int = FEED_FORWARD) -> LlamaForCausalLM:
    """Return a Llama with random weights."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY_SIZE,
            hidden_size=HIDDEN,
            intermediate_size=feed_forward,
            num_hidden_layers=layers,
            num_attention_heads=HEADS,
            num_key_value_heads=KV_HEADS,
            head_dim=HIDDEN // HEADS,
            max_position_embeddings=CONTEXT,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            bos_token_id=BOS_ID,
            eos_token_id=END_ID,
            pad_token_id=END_ID,
        )
    )


def save_folder(folder: Path, model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    """Write config, float16 weights, tokenizer, chat template and generation settings."""
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    settings: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_position_embeddings,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": BOS_ID,
        "eos_token_id": END_ID,
        "pad_token_id": END_ID,
        "torch_dtype": "float16",
    }
    _write_json(folder / "config.json", settings)
    _write_json(
        folder / "generation_config.json",
        {"bos_token_id": BOS_ID, "eos_token_id": END_ID, "pad_token_id": END_ID, "do_sample": False},
    )
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": END,
            "pad_token": END,
            "model_max_length": CONTEXT,
            "clean_up_tokenization_spaces": False,
        },
    )
    write_atomically(folder / "chat_template.jinja", CHAT_TEMPLATE)
    tokenizer.save(str(folder / "tokenizer.json"))
    tensors = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def load_folder(folder: Path) -> tuple[LlamaForCausalLM, Tokenizer]:
    """Read a folder that `save_folder` wrote, as float32."""
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = new_model(0, layers=settings["num_hidden_layers"], feed_forward=settings["intermediate_size"])
    tensors = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
    model.load_state_dict(tensors, strict=False)
    model.tie_weights()
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


def _write_json(path: Path, value: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(value, indent=2) + "\n")
