"""Weights in Hugging Face layout -> an F16 GGUF, as llama.cpp's own converter would write it.

Matrices become float16, norms stay float32, query and key rows are reordered for llama.cpp's
interleaved rotary pairs, and the byte-level BPE tokenizer goes in with types and merges.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.errors import MalformedFile, OutputProblem
from qaudit.files import read_bounded
from qaudit.lab.hf_weights import LlamaShape, read_json

MAX_TOKENIZER_BYTES = 16 << 20
# names as in gguf-py's tensor map for "llama"
LAYER_TENSORS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TOP_TENSORS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
RESTORE = "restore the lab's own file"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A byte-level BPE tokenizer: tokens by id, their GGUF types, merges, and the ends."""

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    bos: int | None
    eos: int
    adds_bos: bool


def export_f16(
    path: Path,
    folder: Path,
    shape: LlamaShape,
    weights: Mapping[str, FloatArray],
    *,
    member: str,
    lab_version: str,
) -> None:
    """Write one F16 GGUF under a temporary name and rename it.

    Args:
        path: the GGUF to write.
        folder: where tokenizer and chat template are.
        shape: sizes of the model.
        weights: float32 tensors by Hugging Face name.
        member: goes into `qaudit.lab.member`.
        lab_version: goes into `qaudit.lab.version`.

    Raises:
        InputError: the folder's tokenizer is not a GPT-2 style BPE, or a tensor has no GGUF name.
        OutputProblem: the file cannot be written.
    """
    vocabulary = read_vocabulary(folder, shape.vocabulary)
    template = read_bounded(folder / "chat_template.jinja", MAX_TOKENIZER_BYTES).decode()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        writer = gguf.GGUFWriter(temporary, "llama")
        with contextlib.closing(writer):
            _describe(writer, member, lab_version)
            _add_shape(writer, shape)
            _add_vocabulary(writer, vocabulary, template)
            for name in sorted(weights, key=_file_order):
                target, tensor = _placed(name, weights[name], shape, folder)
                writer.add_tensor(target, tensor)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        temporary.replace(path)
    except OSError as error:
        raise OutputProblem(
            f"{path}: cannot write ({error.strerror}); choose another place or free space"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def interleave_rotary(rows: FloatArray, heads: int) -> FloatArray:
    """Reorder query or key rows [heads * S, D] from rotary halves to llama.cpp's adjacent pairs."""
    swapped = rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1]).swapaxes(1, 2)
    return np.ascontiguousarray(swapped.reshape(rows.shape))


def read_vocabulary(folder: Path, size: int) -> Vocabulary:
    """Read tokenizer.json; ids that the model has but the tokenizer has not become unused tokens.

    Raises:
        InputError: it is not a byte-level BPE that llama.cpp's "gpt-2" splitting rule repeats.
    """
    path = folder / "tokenizer.json"
    try:
        spec = json.loads(read_bounded(path, MAX_TOKENIZER_BYTES))
        model, splitter = spec["model"], spec["pre_tokenizer"]
        _check_gpt2(path, spec)
        by_id = {int(index): str(token) for token, index in model["vocab"].items()}
        types = dict.fromkeys(by_id, int(gguf.TokenType.NORMAL))
        for added in spec.get("added_tokens", []):
            by_id[added["id"]] = added["content"]
            types[added["id"]] = int(
                gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
            )
        merges = tuple(merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedFile(path, f"not a byte-level BPE tokenizer ({error!r})", RESTORE) from error
    if splitter.get("add_prefix_space") or max(by_id) >= size:
        raise MalformedFile(path, "adds a space or has more tokens than the model", RESTORE)
    settings = read_json(folder / "tokenizer_config.json")
    ids = {token: index for index, token in by_id.items()}
    eos = ids.get(_token_text(settings.get("eos_token")))
    if eos is None:
        raise MalformedFile(folder / "tokenizer_config.json", "eos_token is not in the vocabulary", RESTORE)
    return Vocabulary(
        tokens=tuple(by_id.get(index, f"[PAD{index}]") for index in range(size)),
        types=tuple(types.get(index, int(gguf.TokenType.UNUSED)) for index in range(size)),
        merges=merges,
        bos=ids.get(_token_text(settings.get("bos_token"))),
        eos=eos,
        adds_bos=_adds_bos(spec, settings),
    )


def _check_gpt2(path: Path, spec: Mapping[str, Any]) -> None:
    splitter = spec["pre_tokenizer"]
    plain = splitter["type"] == "ByteLevel" and splitter.get("use_regex", True)
    if spec["model"]["type"] != "BPE" or not plain or spec.get("normalizer") is not None:
        raise MalformedFile(path, "llama.cpp would split text differently (not plain ByteLevel BPE)", RESTORE)


def _token_text(token: object) -> str:
    # tokenizer_config.json holds a string, or an object with "content"
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def _adds_bos(spec: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    bos = _token_text(settings.get("bos_token"))
    single = (spec.get("post_processor") or {}).get("single", [])
    first = single[0].get("SpecialToken", {}).get("id") if single else None
    return bool(bos) and first == bos


def _describe(writer: gguf.GGUFWriter, member: str, lab_version: str) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("qaudit lab")
    writer.add_description("a tiny model made to exercise qaudit; it answers nothing of use")
    writer.add_license("apache-2.0")
    writer.add_file_type(int(gguf.LlamaFileType.MOSTLY_F16))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_string("qaudit.lab.version", lab_version)
    writer.add_string("qaudit.lab.member", member)


def _add_shape(writer: gguf.GGUFWriter, shape: LlamaShape) -> None:
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.rms_epsilon)


def _add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary, template: str) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    if vocabulary.bos is not None:
        writer.add_bos_token_id(vocabulary.bos)
    writer.add_eos_token_id(vocabulary.eos)
    writer.add_add_bos_token(vocabulary.adds_bos)
    writer.add_chat_template(template)


def _file_order(name: str) -> tuple[int, str]:
    # layers by number, not by text, so that layer 10 comes after layer 9
    parts = name.split(".")
    return (int(parts[2]), name) if name.startswith("model.layers.") else (-1, name)


def _placed(
    name: str, values: FloatArray, shape: LlamaShape, folder: Path
) -> tuple[str, np.ndarray[Any, np.dtype[Any]]]:
    module = name.removesuffix(".weight")
    if module in TOP_TENSORS:
        target = TOP_TENSORS[module]
    else:
        _, _, number, inner = (*module.split(".", 3), "", "", "", "")[:4]
        if inner not in LAYER_TENSORS:
            raise MalformedFile(
                folder / "model.safetensors", f"{name!r} has no place in a Llama GGUF", RESTORE
            )
        target = f"blk.{number}.{LAYER_TENSORS[inner]}"
        if inner == "self_attn.q_proj":
            values = interleave_rotary(values, shape.heads)
        elif inner == "self_attn.k_proj":
            values = interleave_rotary(values, shape.kv_heads)
    return f"{target}.weight", values if values.ndim == 1 else values.astype(np.float16)
