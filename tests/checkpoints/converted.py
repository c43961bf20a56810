"""Tiny random models of every family, and GGUFs of them as llama.cpp's converter writes them.

Names, orders and metadata are written down here from the converter's rules, and not taken from the code
under test; real llama.cpp loads what comes out.
"""

import ctypes
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
safetensors_torch = pytest.importorskip("safetensors.torch")
llama_cpp = pytest.importorskip("llama_cpp")

Arrays = dict[str, NDArray[Any]]
HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, HEAD, VOCABULARY = 64, 96, 2, 4, 2, 16, 272
COMMON = {
    "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "max_position_embeddings": 128,
    "bos_token_id": 260, "eos_token_id": 261, "pad_token_id": None, "initializer_range": 0.3,
}  # fmt: skip
WIDE = {"head_dim": 32}  # heads that are not hidden size / heads
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}  # fmt: skip
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "long_factor": [1.5 + i / 4 for i in range(8)], "short_factor": [1.0 + i / 8 for i in range(8)]}  # fmt: skip
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 48,
}
# variant: (model type in transformers, architecture in llama.cpp, what it has besides COMMON)
VARIANTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("llama", "llama", {}),
    "llama-tied": ("llama", "llama", {"tie_word_embeddings": True, **WIDE}),
    "llama-bias": ("llama", "llama", {"attention_bias": True, "mlp_bias": True}),
    "llama3": ("llama", "llama", {"rope_parameters": LLAMA3}),
    "llama-linear": ("llama", "llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}}),
    "mistral": ("mistral", "llama", {**WIDE}),
    "mixtral": ("mixtral", "llama", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen2": ("qwen2", "qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}}),
    "qwen2moe": ("qwen2_moe", "qwen2moe", {"num_key_value_heads": HEADS, **EXPERTS}),
    "qwen3": ("qwen3", "qwen3", {**WIDE}),
    "qwen3moe": ("qwen3_moe", "qwen3moe", {"norm_topk_prob": True, **WIDE, **EXPERTS}),
    "gemma": ("gemma", "gemma", {**WIDE}),
    "gemma2": ("gemma2", "gemma2", {"query_pre_attn_scalar": 32, **WIDE}),
    "gemma3": ("gemma3_text", "gemma3", {"query_pre_attn_scalar": 32, "sliding_window": 8, "num_hidden_layers": 7, **WIDE}),
    "phi3": ("phi3", "phi3", {}),
    "phi3-long": ("phi3", "phi3", {"rope_parameters": LONG, "original_max_position_embeddings": 512, "max_position_embeddings": 1024}),
    "phi2": ("phi", "phi2", {"num_key_value_heads": HEADS, "intermediate_size": 4 * HIDDEN}),
}  # fmt: skip


def tiny_model(variant: str, seed: int = 0) -> Any:
    """Build a model whose weights are multiples of 1/1024, so that float16 and adding 1 lose nothing."""
    model_type, _, more = VARIANTS[variant]
    torch.manual_seed(seed)
    config = transformers.AutoConfig.for_model(model_type, **{**COMMON, **more})
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            vector = parameter.dim() == 1
            values = torch.randn(parameter.shape) * (0.3 if vector else 0.2)
            if vector and name.endswith("norm.weight") and not variant.startswith("gemma"):
                values += 1
            parameter.copy_((values * 1024).round() / 1024)
    return model


def save(model: Any, folder: Path) -> Path:
    """Write a folder in Hugging Face layout: weights by parameter name, config.json, tokenizer.json."""
    folder.mkdir(exist_ok=True)
    safetensors_torch.save_file(
        {n: p.detach().clone() for n, p in model.named_parameters()}, folder / "model.safetensors"
    )
    model.config.to_json_file(folder / "config.json", use_diff=False)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    return folder


def alphabet() -> list[str]:
    """Return the 256 characters that stand for bytes in a byte-level BPE (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def tokenizer() -> dict[str, Any]:
    tokens = [*alphabet(), "th", "he", "the", "in"]
    added = [
        {"id": 260 + i, "content": text, "special": True} for i, text in enumerate(("<|bos|>", "<|eos|>"))
    ]
    merges = [["t", "h"], ["h", "e"], ["th", "e"], ["i", "n"]]
    model = {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}
    return {"version": "1.0", "added_tokens": added, "model": model}


def interleaved(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Reorder rows as LlamaModel.permute of the converter: halves of each head become neighbours."""
    return (
        rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
        .swapaxes(1, 2)
        .reshape(rows.shape)
    )


RENAMED = {
    "model.embed_tokens.": "token_embd.", "model.norm.": "output_norm.", "model.final_layernorm.": "output_norm.",
    "lm_head.": "output.", "model.layers.": "blk.", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.dense": "attn_output",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp", "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp", "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.gate_up_proj": "ffn_up", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "mlp.gate.": "ffn_gate_inp.", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down", "input_layernorm": "attn_norm",
    "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
}  # fmt: skip


def converted(model: Any, variant: str) -> Arrays:
    """Return the tensors of a GGUF as float32, by name."""
    found: Arrays = {}
    config = model.config
    for name, parameter in model.named_parameters():
        values = parameter.detach().numpy().copy()
        if VARIANTS[variant][1] == "llama" and ".q_proj." in name:
            values = interleaved(values, config.num_attention_heads)
        if VARIANTS[variant][1] == "llama" and ".k_proj." in name:
            values = interleaved(values, config.num_key_value_heads)
        if variant.startswith("gemma") and name.endswith("norm.weight"):
            values = values + np.float32(1)
        norm = "post_attention_norm" if variant in ("gemma2", "gemma3") else "ffn_norm"
        target = name.replace("post_attention_layernorm", norm)
        for theirs, ours in RENAMED.items():
            target = target.replace(theirs, ours)
        if name.endswith("experts.gate_up_proj"):
            gate, up = np.split(values, 2, axis=1)
            block = target.split(".mlp.")[0]
            found |= {f"{block}.ffn_gate_exps.weight": gate, f"{block}.ffn_up_exps.weight": up}
        elif name.endswith("experts.down_proj"):
            found[f"{target.split('.mlp.')[0]}.ffn_down_exps.weight"] = values
        else:
            found[target] = values.reshape(-1) if "ffn_gate_inp_shexp" in target else values
    return found | positions(config, variant)


def positions(config: Any, variant: str) -> Arrays:
    if variant == "phi3-long":
        return {
            f"rope_factors_{k}.weight": np.array(LONG[f"{k}_factor"], np.float32) for k in ("long", "short")
        }
    if variant != "llama3":
        return {}
    # as the converter has it, frequency by frequency
    factors = []
    for pair in range(HEAD // 2):
        wave = 2 * np.pi * LLAMA3["rope_theta"] ** (2 * pair / HEAD)
        low, high = 64 / LLAMA3["low_freq_factor"], 64 / LLAMA3["high_freq_factor"]
        if wave < high:
            factors.append(1.0)
        elif wave > low:
            factors.append(LLAMA3["factor"])
        else:
            smooth = (64 / wave - 1.0) / (4.0 - 1.0)
            factors.append(1 / ((1 - smooth) / 8.0 + smooth))
    return {"rope_freqs.weight": np.array(factors, np.float32)}


def metadata(config: Any, variant: str) -> dict[str, int | float | str]:
    """Return what the converter writes below the architecture's name."""
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    found: dict[str, int | float | str] = {
        "context_length": config.max_position_embeddings, "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers, "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads, "rope.freq_base": float(rope["rope_theta"]),
    }  # fmt: skip
    if variant == "phi2":
        found |= {"attention.layer_norm_epsilon": config.layer_norm_eps, "rope.dimension_count": head // 2}
        return found
    found["attention.layer_norm_rms_epsilon"] = config.rms_norm_eps
    if variant.startswith("phi3"):
        found |= {"rope.dimension_count": head, "attention.sliding_window": 0}
        found["rope.scaling.original_context_length"] = config.original_max_position_embeddings
        if variant == "phi3-long":
            found |= {
                "rope.scaling.type": "longrope",
                "rope.scaling.attn_factor": (1 + np.log(2) / np.log(512)) ** 0.5,
            }
        return found
    found |= {"attention.key_length": head, "attention.value_length": head}
    if VARIANTS[variant][1] == "llama":
        found |= {"rope.dimension_count": head, "vocab_size": config.vocab_size}
    if variant == "llama-linear":
        found |= {"rope.scaling.type": "linear", "rope.scaling.factor": rope["factor"]}
    if variant == "gemma2":
        found |= {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
    if variant in ("gemma2", "gemma3"):
        found["attention.sliding_window"] = config.sliding_window
    if variant == "gemma3":
        found["rope.freq_base_swa"] = config.rope_parameters["sliding_attention"]["rope_theta"]
    if variant in ("mixtral", "qwen2moe", "qwen3moe"):
        experts = getattr(config, "num_local_experts", None) or config.num_experts
        found |= {"expert_count": experts, "expert_used_count": config.num_experts_per_tok}
    if variant in ("qwen2moe", "qwen3moe"):
        found["expert_feed_forward_length"] = config.moe_intermediate_size
    if variant == "qwen2moe":
        found["expert_shared_feed_forward_length"] = config.shared_expert_intermediate_size
    return found


def write_gguf(
    path: Path,
    model: Any,
    variant: str,
    *,
    half: bool = False,
    change: Callable[[dict[str, Any], Arrays], None] | None = None,
) -> Path:
    """Write a GGUF; `change` may edit the metadata (full keys) and the tensors first."""
    architecture = VARIANTS[variant][1]
    keys: dict[str, Any] = {f"{architecture}.{k}": v for k, v in metadata(model.config, variant).items()}
    spec = tokenizer()
    tokens = [*spec["model"]["vocab"], *(added["content"] for added in spec["added_tokens"])]
    keys["tokens"] = [*tokens, *(f"[PAD{i}]" for i in range(len(tokens), model.config.vocab_size))]
    keys["types"] = [1] * 260 + [3] * 2 + [5] * (model.config.vocab_size - 262)
    keys["merges"] = [" ".join(pair) for pair in spec["model"]["merges"]]
    tensors = converted(model, variant)
    if change:
        change(keys, tensors)
    writer = gguf.GGUFWriter(path, keys.pop("architecture", architecture))
    writer.add_tokenizer_model(keys.pop("tokenizer", "gpt2"))
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(keys.pop("tokens"))
    writer.add_token_types(keys.pop("types"))
    writer.add_token_merges(keys.pop("merges"))
    writer.add_bos_token_id(260)
    writer.add_eos_token_id(261)
    for key, value in keys.items():
        add = {str: writer.add_string, int: writer.add_uint32, list: writer.add_array}
        add.get(type(value), writer.add_float32)(key, value)
    for name, values in tensors.items():
        plain = values.ndim == 1 or "norm" in name or "gate_inp" in name or not half
        writer.add_tensor(name, values.astype(np.float32 if plain else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


_errors: list[str] = []


@llama_cpp.llama_log_callback
def _keep(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    if level == 4:
        _errors.append(text.decode())


def llama_logits(path: Path, tokens: list[int]) -> NDArray[np.float32]:
    """Return real llama.cpp's logits at every position, all computed in float32: [T, V]."""
    _errors.clear()
    llama_cpp.llama_log_set(_keep, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    options = llama_cpp.llama_model_default_params()
    options.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
    assert model, _errors
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx, settings.n_threads, settings.n_threads_batch = 256, 1, 1
    settings.type_k = settings.type_v = 0  # float32
    settings.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, settings)
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    try:
        assert context, _errors
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index], batch.pos[index], batch.logits[index] = token, index, 1
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
        assert llama_cpp.llama_decode(context, batch) == 0
        count = len(tokens) * llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        values = np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), (count,))
        return values.reshape(len(tokens), -1).copy()
    finally:
        llama_cpp.llama_batch_free(batch)
        if context:
            llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)


def hf_logits(model: Any, tokens: list[int]) -> NDArray[np.float32]:
    """Return transformers' logits at every position: [T, V]."""
    with torch.no_grad():
        return np.asarray(model(torch.tensor([tokens])).logits[0].float().numpy())


def with_weights(model: Any, tensors: Mapping[str, NDArray[Any]]) -> Any:
    """Put weights in the place of a model's own; none may be missing or extra."""
    named = dict(model.named_parameters())
    assert named.keys() == tensors.keys()
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(torch.from_numpy(tensors[name]))
    return model
