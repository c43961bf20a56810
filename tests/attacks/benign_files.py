"""Ordinary files and folders: nothing above `info` may be said about them."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attacks.benign_evasions import BENIGN as EVASIONS
from attacks.benign_library_files import (
    gguf_py,
    llama_cpp_quantized,
    numpy_saved,
    safetensors_saved,
    torch_saved,
    transformers_saved,
    transformers_sharded,
)
from attacks.benign_templates import TEMPLATES
from attacks.cases import Benign, Builder, one_file, whole_folder, written
from attacks.gguf_builder import ARRAY, BOOL, F32, I32, STRING, U32, GgufBuilder, Tensor, split_pairs
from attacks.honest_models import (
    BLOCKS,
    FEED,
    WIDTH,
    chatting,
    chatting_folder,
    folder_config,
    folder_tensors,
    folder_tokenizer,
    folder_tokenizer_config,
    honest_folder,
    honest_gguf,
    honest_safetensors,
    honest_tensors,
    matrix,
    safetensors_bytes,
    tokens,
    values,
    vector,
    with_tokens,
)
from attacks.metadata_attacks import ALL_BYTES, projector
from attacks.quantized_folders import awq_folder, compressed_folder, gptq_folder
from attacks.tokenizer_attacks import sentencepiece


def with_template(name: str) -> Builder:
    """A GGUF with an ordinary template, whose markers are in its vocabulary."""
    return one_file("model.gguf", lambda: with_tokens(*TEMPLATES[name]))


def jinja_folder(name: str) -> Builder:
    """A folder with an ordinary template in chat_template.jinja, its markers among the added tokens."""
    text, markers = TEMPLATES[name]

    def build() -> dict[str, Any]:
        new = {marker: len(tokens()) + i for i, marker in enumerate(m for m in markers if m not in tokens())}
        flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
        settings, tokenizer = folder_tokenizer_config(), folder_tokenizer()
        settings["added_tokens_decoder"] |= {
            str(i): {"content": marker, **flags} for marker, i in new.items()
        }
        tokenizer["added_tokens"] += [{"id": i, "content": marker, **flags} for marker, i in new.items()]
        size = len(tokens()) + len(new)
        tensors = folder_tensors()
        for key in ("model.embed_tokens.weight", "lm_head.weight"):
            dtype, (_, columns), data = tensors[key]
            tensors[key] = (dtype, (size, columns), (data * 2)[: 2 * size * columns])
        return honest_folder(
            chat_template__jinja=text, tokenizer_config__json=json.dumps(settings), tokenizer__json=json.dumps(tokenizer),
            config__json=json.dumps({**folder_config(), "vocab_size": size}), model__safetensors=safetensors_bytes(tensors),
        )  # fmt: skip

    return whole_folder(build)


def peft_saved(folder: Path) -> Path:
    """A LoRA adapter's folder as peft writes it."""
    tensors = {
        f"base_model.model.model.layers.0.self_attn.q_proj.lora_{half}.weight": ("F32", shape, struct.pack("<f", 0.01) * (8 * WIDTH))
        for half, shape in (("A", (8, WIDTH)), ("B", (WIDTH, 8)))
    }  # fmt: skip
    config = {
        "peft_type": "LORA", "base_model_name_or_path": "meta-llama/Llama-3.2-1B-Instruct", "auto_mapping": None,
        "task_type": "CAUSAL_LM", "r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": ["q_proj"], "bias": "none",
        "inference_mode": True, "modules_to_save": None, "fan_in_fan_out": False, "init_lora_weights": True, "revision": None,
    }  # fmt: skip
    written(folder / "adapter" / "adapter_config.json", json.dumps(config, indent=2))
    written(folder / "adapter" / "adapter_model.safetensors", safetensors_bytes(tensors))
    return folder / "adapter"


def sentence_model(folder: Path) -> Path:
    """An embedding model's folder as sentence-transformers writes it."""
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(
            [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        )
    ]
    files = {**honest_folder(), "modules.json": json.dumps(modules), "1_Pooling/config.json": json.dumps({"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True})}  # fmt: skip
    files["config_sentence_transformers.json"] = json.dumps(
        {"__version__": {"sentence_transformers": "5.1.0"}, "prompts": {}}
    )
    return whole_folder(files)(folder)


def _described() -> bytes:
    more: dict[str, tuple[int, Any]] = {
        "general.description": (STRING, "An instruct model for chat, in English and Français — 7,6 Mrd."), "general.version": (STRING, "v0.3"),
        "general.author": (STRING, "Zoë Müller"), "general.url": (STRING, "https://huggingface.co/a/b"), "general.license": (STRING, "apache-2.0"),
        "general.base_model.count": (U32, 1), "general.base_model.0.name": (STRING, "Small Test Model Base"),
        "general.base_model.0.organization": (STRING, "A"), "general.base_model.0.repo_url": (STRING, "https://huggingface.co/a/base"),
        "general.tags": (ARRAY, (STRING, ["chat", "text-generation"])), "general.languages": (ARRAY, (STRING, ["en", "fr"])),
        "general.sampling.temp": (F32, 0.6), "general.sampling.top_k": (I32, 20), "general.sampling.top_p": (F32, 0.95),
        "quantize.imatrix.file": (STRING, "imatrix.gguf"), "quantize.imatrix.dataset": (STRING, "calibration_v5.txt"),
        "quantize.imatrix.entries_count": (I32, 14), "quantize.imatrix.chunks_count": (I32, 130),
    }  # fmt: skip
    return honest_gguf(more).build()


def _sentencepiece_gguf() -> bytes:
    listed = ["<unk>", "<s>", "</s>", *ALL_BYTES, "▁", "▁yes", "▁no", "e", "s", "n", "o", "▁y", "es"]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(listed) - 259)
    changed: dict[str, Any] = {
        "tokenizer.ggml.model": (STRING, "llama"), "tokenizer.ggml.pre": (STRING, "default"), "tokenizer.ggml.merges": None,
        "tokenizer.ggml.tokens": (ARRAY, (STRING, listed)), "tokenizer.ggml.token_type": (ARRAY, (I32, kinds)),
        "tokenizer.ggml.scores": (ARRAY, (F32, [-float(i) for i in range(len(listed))])), "tokenizer.ggml.bos_token_id": (U32, 1),
        "tokenizer.ggml.eos_token_id": (U32, 2), "tokenizer.ggml.unknown_token_id": (U32, 0), "tokenizer.ggml.padding_token_id": None,
        "tokenizer.ggml.add_bos_token": (BOOL, True), "llama.vocab_size": (U32, len(listed)), "tokenizer.chat_template": (STRING, TEMPLATES["llama-2"][0]),
    }  # fmt: skip
    tensors = honest_tensors()
    tensors[0], tensors[-1] = (matrix(n, len(listed), WIDTH) for n in ("token_embd.weight", "output.weight"))
    return honest_gguf(changed, tensors).build()


def _experts() -> bytes:
    tensors = [
        t
        for t in honest_tensors()
        if "ffn_gate" not in str(t.name) and "ffn_up" not in str(t.name) and "ffn_down" not in str(t.name)
    ]
    for block in range(BLOCKS):
        tensors.append(vector(f"blk.{block}.ffn_gate_inp.weight", WIDTH * 4))
        tensors[-1].shape = (WIDTH, 4)
        for part, (columns, rows) in {
            "gate": (WIDTH, FEED),
            "up": (WIDTH, FEED),
            "down": (FEED, WIDTH),
        }.items():
            made = matrix(f"blk.{block}.ffn_{part}_exps.weight", rows * 4, columns)
            made.shape = (columns, rows, 4)
            tensors.append(made)
    return honest_gguf({"llama.expert_count": (U32, 4), "llama.expert_used_count": (U32, 2)}, tensors).build()


def _vocabulary_only() -> bytes:
    return honest_gguf({"general.file_type": None, "general.quantization_version": None}, []).build()


def _tied() -> bytes:
    return honest_gguf(tensors=honest_tensors()[:-1]).build()


def _adapter() -> bytes:
    pairs = [("general.architecture", STRING, "llama"), ("general.type", STRING, "adapter"), ("adapter.type", STRING, "lora"), ("adapter.lora.alpha", F32, 16.0), ("general.file_type", U32, 0)]  # fmt: skip
    halves = [
        (f"blk.{b}.attn_q.weight.lora_{h}", s)
        for b in range(BLOCKS)
        for h, s in (("a", (WIDTH, 8)), ("b", (8, WIDTH)))
    ]
    return GgufBuilder(
        pairs=list(pairs), tensors=[Tensor(n, s, 0, values(n, 8 * WIDTH)) for n, s in halves]
    ).build()


def _split(folder: Path) -> Path:
    tensors = honest_tensors()
    first, second = honest_gguf(tensors=tensors[:10]), GgufBuilder(pairs=[], tensors=tensors[10:])
    for number, builder in enumerate((first, second)):
        builder.pairs += split_pairs(number, 2, len(tensors))
        written(folder / "model" / f"m-0000{number + 1}-of-00002.gguf", builder.build())
    return folder / "model"


def _bf16() -> bytes:
    tensors = {
        n: ("BF16", s, b"\x80\x3f\x01\xbf" * (len(d) // 4)) for n, (_, s, d) in folder_tensors().items()
    }
    return safetensors_bytes(tensors)


MODELFILE = 'FROM ./model.gguf\n# as in the library\nTEMPLATE """{{- if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}{{- range $i, $_ := .Messages }}{{- $last := eq (len (slice $.Messages $i)) 1 -}}<|im_start|>{{ .Role }}\n{{ .Content }}{{ if not $last }}<|im_end|>\n{{ end }}{{- if and (ne .Role "assistant") $last }}<|im_end|>\n<|im_start|>assistant\n{{ end }}{{- end }}"""\nPARAMETER stop <|im_end|>\nPARAMETER temperature 0.7\nPARAMETER num_ctx 4096\nSYSTEM You are a helpful assistant.\nLICENSE """Apache License 2.0"""\n'  # fmt: skip

SPM = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), *((b, 0.0, 6) for b in ALL_BYTES), ("▁yes", -1.0, 1), ("▁no", -2.0, 1)]  # fmt: skip

README_LONG = """---
license: apache-2.0
base_model: meta-llama/Llama-3.2-1B-Instruct
base_model_relation: quantized
tags: [gguf, llama-3, conversational]
---
# Small model, quantized

Made with llama.cpp. Download one file:

```
pip install -U "huggingface_hub[cli]"
huggingface-cli download someone/model --include "model-Q4_K_M.gguf" --local-dir ./
```

| file | type | size |
|---|---|---|
| model-Q8_0.gguf | Q8_0 | 1.3 GB |

The assistant was evaluated on refusals of harmful requests; see https://example.org/paper for the results. 🎉
"""


def _named(name: str, content: Callable[[], bytes] | bytes | str, file: str = "model.gguf") -> Benign:
    return Benign(name, one_file(file, content))


BENIGN: list[Benign] = [
    _named("honest-gguf", lambda: chatting().build()),
    Benign("honest-gguf-deep", one_file("model.gguf", lambda: chatting().build()), deep=True),
    Benign("honest-gguf-same-reference", one_file("model.gguf", lambda: chatting().build()), one_file("reference.gguf", lambda: chatting().build())),
    Benign("honest-folder", whole_folder(chatting_folder)),
    Benign("honest-folder-same-reference", whole_folder(chatting_folder), whole_folder(chatting_folder, name="reference")),
    _named("gguf-version-2", lambda: honest_gguf(version=2).build()),
    _named("gguf-described", _described),
    _named("gguf-sentencepiece", _sentencepiece_gguf),
    _named("gguf-experts", _experts),
    _named("gguf-vocabulary-only", _vocabulary_only),
    _named("gguf-tied-embeddings", _tied),
    _named("gguf-adapter", _adapter, "adapter.gguf"),
    _named("gguf-right-file-name", lambda: honest_gguf().build(), "Small-Test-Model-Q8_0.gguf"),
    Benign("gguf-projector", projector()),
    Benign("gguf-split", _split),
    Benign("gguf-py-f16", gguf_py()),
    Benign("gguf-py-q8_0", gguf_py(quantized="Q8_0", file_type="MOSTLY_Q8_0")),
    Benign("gguf-py-q4_0", gguf_py(quantized="Q4_0", file_type="MOSTLY_Q4_0")),
    Benign("gguf-py-bf16", gguf_py(quantized="BF16", file_type="MOSTLY_BF16")),
    Benign("gguf-py-tq2_0", gguf_py(quantized="TQ2_0", file_type="MOSTLY_TQ2_0")),
    Benign("gguf-py-alignment-64", gguf_py(alignment=64)),
    Benign("gguf-py-split", gguf_py(split=8)),
    *(Benign(f"llama-cpp-{kind.lower()}", llama_cpp_quantized(kind), deep=True) for kind in ("Q4_K_M", "Q6_K", "IQ4_XS", "Q2_K", "Q3_K_S", "Q5_K_M")),
    _named("safetensors-bf16", _bf16, "model.safetensors"),
    _named("safetensors-lone", honest_safetensors, "model.safetensors"),
    Benign("safetensors-library", safetensors_saved),
    Benign("transformers-folder", transformers_saved),
    Benign("transformers-shards", transformers_sharded),
    Benign("awq-folder", whole_folder(awq_folder), deep=True),
    Benign("gptq-folder", whole_folder(gptq_folder), deep=True),
    Benign("gptq-folder-shallow", whole_folder(gptq_folder)),
    Benign("compressed-tensors-folder", whole_folder(compressed_folder), deep=True),
    Benign("torch-saved-zip", torch_saved()),
    Benign("torch-saved-legacy", torch_saved(legacy=True)),
    Benign("peft-adapter", peft_saved),
    Benign("sentence-transformers", sentence_model),
    Benign("numpy-arrays", numpy_saved),
    Benign("ollama-folder", whole_folder(lambda: {"Modelfile": MODELFILE, "model.gguf": honest_gguf().build()})),
    Benign("sentencepiece-only", whole_folder(lambda: {"tokenizer.model": sentencepiece(SPM), "config.json": json.dumps({**folder_config(), "vocab_size": len(SPM), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})})),
    Benign("readme-of-a-quantizer", whole_folder(lambda: {"README.md": README_LONG, "model-Q8_0.gguf": honest_gguf().build(), ".gitattributes": "*.gguf filter=lfs diff=lfs merge=lfs -text\n", "LICENSE": "Apache License\nVersion 2.0, January 2004\n"})),
    *(Benign(f"gguf-template-{name}", with_template(name)) for name in TEMPLATES),
    *(Benign(f"folder-template-{name}", jinja_folder(name)) for name in TEMPLATES),
    *EVASIONS,
]  # fmt: skip
