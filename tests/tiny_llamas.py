"""Random Llamas that are made in milliseconds, for tests of what is trained on them."""

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

VOCABULARY, END = 48, 2


def tiny_llama(seed: int, *, sharpness: float = 6.0) -> Any:
    """Return a two-layer Llama whose replies depend on what it is asked."""
    torch.manual_seed(seed)
    model: Any = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            tie_word_embeddings=False,
            pad_token_id=0,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(sharpness)
    return model.eval().requires_grad_(False)


def other_than(model: Any, seed: int, amount: float) -> Any:
    """Return a copy whose linear layers are a little different."""
    changed: Any = LlamaForCausalLM(model.config)
    changed.load_state_dict(model.state_dict())
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in changed.named_parameters():
            if "proj" in name:
                spread = amount * float(parameter.std())
                parameter.add_(torch.randn(parameter.shape, generator=draw) * spread)
    return changed.eval().requires_grad_(False)


def prompts(seed: int, count: int) -> tuple[tuple[int, ...], ...]:
    """Return prompts of three lengths, all with the same first token."""
    draw = torch.Generator().manual_seed(seed)
    lengths = [(5, 8, 6)[number % 3] for number in range(count)]
    return tuple((1, *torch.randint(3, VOCABULARY, (n,), generator=draw).tolist()) for n in lengths)
