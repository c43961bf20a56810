"""Folders in Hugging Face layout with tiny random models, for the tests of the transformers engine."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from qaudit.lab.members import reference_folder

CARRIED = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
# a model of each kind of memory: all of it kept, a sliding window on some layers, other biases
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 16},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "gemma3_text": {"head_dim": 16, "sliding_window": 16, "query_pre_attn_scalar": 16},
    "phi": {"partial_rotary_factor": 0.5},
    "phi3": {"pad_token_id": 0},
    "gpt2": {},
}
SMALL = {
    "vocab_size": 1024, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def write_folder(folder: Path, family: str, dtype: torch.dtype = torch.float32, **changed: Any) -> Path:
    """Write a random model of a family with the lab's tokenizer; the same weights every time."""
    torch.manual_seed(7)
    config = AutoConfig.for_model(family, **{**SMALL, **FAMILIES[family], **changed})
    model = AutoModelForCausalLM.from_config(config).to(dtype)
    with torch.no_grad():
        # as drawn, every model says much the same thing whatever it is asked
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3.0)
    model.save_pretrained(folder)
    for name in CARRIED:
        shutil.copy(reference_folder() / name, folder / name)
    return folder


def edit_config(folder: Path, **changed: Any) -> None:
    """Change keys of config.json; None takes one out."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changed}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
