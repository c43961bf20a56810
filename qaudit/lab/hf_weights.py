"""A Llama checkpoint folder in Hugging Face layout -> float32 arrays and its shape, without torch.

Only the lab's own folder is read here (config.json, model.safetensors); untrusted checkpoints go
through `qaudit.checkpoints`. An adapter W' = W + B @ A turns the reference into a trained member.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.checkpoints.safetensors import read_safetensors
from qaudit.errors import LimitExceeded, MalformedFile
from qaudit.files import read_bounded, sha256_bytes, sha256_file

Weights = dict[str, FloatArray]

MAX_WEIGHTS_BYTES = 64 << 20
MAX_CONFIG_BYTES = 1 << 20
REFERENCE_FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Sizes of a Llama: D = hidden, F = feed_forward, H = heads, K = kv_heads, S = head_size."""

    vocabulary: int
    hidden: int
    feed_forward: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    context: int
    rope_theta: float
    rms_epsilon: float
    tied: bool


def read_shape(folder: Path) -> LlamaShape:
    """Read config.json.

    Raises:
        InputError: it is missing, not JSON, or not a plain Llama.
    """
    path = folder / "config.json"
    config = read_json(path)
    if config.get("model_type") != "llama":
        raise MalformedFile(
            path, f"model_type is {config.get('model_type')!r}, not 'llama'", "restore the lab's own file"
        )
    # transformers 5 moved rope_theta into rope_parameters; older files have it at the top
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", "default") != "default":
        raise MalformedFile(
            path, f"rope type {rope['rope_type']!r} is not known here", "use plain rotary positions"
        )
    if config.get("attention_bias") or config.get("mlp_bias"):
        raise MalformedFile(path, "biases are not known here", "use a Llama without biases")
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        return LlamaShape(
            vocabulary=int(config["vocab_size"]),
            hidden=hidden,
            feed_forward=int(config["intermediate_size"]),
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_size=int(config.get("head_dim") or hidden // heads),
            context=int(config["max_position_embeddings"]),
            rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0),
            rms_epsilon=float(config["rms_norm_eps"]),
            tied=bool(config.get("tie_word_embeddings", False)),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise MalformedFile(
            path, f"a size is missing or wrong ({error})", "restore the lab's own file"
        ) from error


def read_weights(folder: Path) -> Weights:
    """Read model.safetensors as float32, by Hugging Face tensor name.

    Raises:
        InputError: the file is missing, too long or not safetensors.
    """
    return read_tensors(folder / "model.safetensors")


def read_tensors(path: Path) -> Weights:
    """Read any safetensors file of floats.

    Raises:
        InputError: the file is missing, too long, not safetensors, or holds something else.
    """
    file = read_safetensors(path)
    if file.size > MAX_WEIGHTS_BYTES:
        raise LimitExceeded(path, f"longer than {MAX_WEIGHTS_BYTES} bytes", "is it the right file?")
    for name, tensor in file.tensors.items():
        if tensor.dtype not in ("F32", "F16", "BF16"):
            raise MalformedFile(
                path,
                f"{name!r} is {tensor.dtype}, not a float of 16 or 32 bits",
                "restore the lab's own file",
            )
    return {name: file.read(tensor).floats() for name, tensor in file.tensors.items()}


def apply_adapter(weights: Mapping[str, FloatArray], path: Path) -> Weights:
    """Return the weights with a low-rank adapter merged: W' = W + B @ A.

    Shapes:
        `<module>.lora_A` [r, in], `<module>.lora_B` [out, r], `<module>.weight` [out, in].

    Raises:
        InputError: the adapter does not fit the weights.
    """
    tensors = read_tensors(path)
    changed = dict(weights)
    for name in tensors:
        module, _, kind = name.rpartition(".")
        if kind not in ("lora_A", "lora_B") or not {f"{module}.lora_A", f"{module}.lora_B"} <= tensors.keys():
            raise MalformedFile(
                path, f"{name!r} is not half of a lora_A, lora_B pair", "train the adapter again"
            )
        if kind == "lora_A":
            target = f"{module}.weight"
            down, up = tensors[name], tensors[f"{module}.lora_B"]
            if target not in weights or (up.shape[0], down.shape[1]) != weights[target].shape:
                raise MalformedFile(path, f"{module!r} does not fit the reference", "train the adapter again")
            changed[target] = weights[target] + up @ down
    return changed


def folder_digest(folder: Path) -> str:
    """Return one SHA-256 over the reference's files, by name and content."""
    lines = [f"{name} {sha256_file(folder / name)}" for name in REFERENCE_FILES]
    return sha256_bytes("\n".join(lines).encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of at most 1 MiB (tokenizers: see `gguf_export`).

    Raises:
        InputError: it is missing or not a JSON object.
    """
    try:
        value = json.loads(read_bounded(path, MAX_CONFIG_BYTES))
    except ValueError as error:
        raise MalformedFile(path, f"not JSON ({error})", "restore the lab's own file") from error
    if not isinstance(value, dict):
        raise MalformedFile(path, "not a JSON object", "restore the lab's own file")
    return value
