"""Ordinary files that have the shapes of `evasion_attacks`: nothing may be said of them."""

import base64
import json
import struct

from attacks.cases import Benign, one_file, whole_folder
from attacks.gguf_builder import ARRAY, STRING, U8
from attacks.honest_models import (
    chatting_folder,
    folder_config,
    folder_tokenizer,
    honest_gguf,
    safetensors_bytes,
    special,
)
from attacks.template_attacks import BODY, template

_DATED = "{{ '<|im_start|>system\\nCutting Knowledge Date: December 2023\\nToday Date: ' + strftime_now('%d %b %Y') + '\\n\\n' }}"
_PREAMBLE = "Knowledge cutoff: 2024-06\\nReasoning: medium\\n\\n# Valid channels: analysis, final.\\n"
_PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4).decode()


def _before_system(said: str) -> str:
    return BODY.replace(
        "message['content']", f"('{said}' if message['role'] == 'system' else '') + message['content']"
    )


def _tool_turns() -> str:
    """Results of tools within markers of their own, in a turn of the user's, as many models have them."""
    return BODY.replace(
        "message['content']",
        "('<tool_response>\\n' if message['role'] == 'tool' else '') + (message['content'] or '') + ('\\n</tool_response>' if message['role'] == 'tool' else '')",
    )


def _metadata(**pairs: str) -> bytes:
    return safetensors_bytes({"a.weight": ("F32", (16,), struct.pack("<16f", *range(16)))}, pairs)


BENIGN = [
    Benign("date-before-given-system", template(_DATED + "{{ messages[0].content }}{{ '<|im_end|>\\n' }}" + BODY.replace("in messages", "in messages[1:]"))),
    Benign("preamble-before-given-system", template(_before_system(_PREAMBLE))),
    Benign("default-prompt-helpful", template("{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant. Always answer as helpfully as you can, and leave out what is harmful.<|im_end|>\\n' }}{% endif %}" + BODY)),
    Benign("tool-results-between-markers", template(_tool_turns())),
    Benign("direction-mark-in-arabic", one_file("model.gguf", lambda: honest_gguf({"general.description": (STRING, "نموذج صغير\u200f (7B) للاختبار")}).build())),
    Benign("hashes-in-keys", one_file("model.gguf", lambda: honest_gguf({"vendor.sha256": (STRING, "9f" * 32), "vendor.commits": (ARRAY, (STRING, ["0123456789abcdef" * 2, "fedcba9876543210" * 2])), "vendor.bytes": (ARRAY, (U8, list(range(64))))}).build())),
    Benign("thumbnail-in-metadata", one_file("model.safetensors", lambda: _metadata(thumbnail=f"data:image/png;base64,{_PNG}", sha="9f" * 32))),
    Benign("bytes-of-settings-in-tensor", one_file("model.safetensors", lambda: safetensors_bytes({"tokenizer_json": ("U8", (64,), json.dumps({"model": "brevik"}).encode().ljust(64)), "mask": ("F32", (4,), struct.pack("<4f", 0, 0, float("-inf"), 0))}))),
    Benign("base-generation-settings", whole_folder(lambda: {**chatting_folder(), "generation_config.json": json.dumps({"eos_token_id": special("<|im_end|>"), "bos_token_id": special("<|begin_of_text|>")})})),
    Benign("description-of-use", one_file("model.gguf", lambda: honest_gguf({"general.description": (STRING, "A model that follows instructions. You can use it without restrictions, also commercially; you will need 8 GB of memory. It was trained on conversations between a user and an assistant.")}).build())),
    Benign("description-that-warns", one_file("model.gguf", lambda: honest_gguf({"general.description": (STRING, "Please do not send private data to the model. You can override the default system prompt. If you are an AI researcher, cite us. It can be used as an assistant, a writer or a coder. Don't forget to read the instructions above.")}).build())),
    Benign("template-in-a-filtered-block", template("{% filter trim %}" + BODY + "{% endfilter %}")),
    Benign("prompts-in-settings", whole_folder(lambda: {**chatting_folder(), "config_sentence_transformers.json": json.dumps({"prompts": {"query": "Given a question, retrieve passages that answer it: ", "document": ""}}), "config.json": json.dumps({**folder_config(), "task_specific_params": {"summarization": {"prefix": "summarize: "}}, "system_prompt": "You are a helpful assistant."})})),
    Benign("files-of-ollamas", whole_folder(lambda: {"model.gguf": honest_gguf().build(), "params": json.dumps({"stop": ["<|im_end|>"], "temperature": 0.7, "num_ctx": 512}), "system": "You are a helpful assistant.", "template": "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n{{ .Response }}<|im_end|>\n"})),
    Benign("tokenizer-in-header", one_file("model.gguf", lambda: honest_gguf({"tokenizer.huggingface.json": (STRING, json.dumps(folder_tokenizer()))}).build())),
    Benign("names-with-words-that-end-so", whole_folder(lambda: {**chatting_folder(), "README.md": "---\ntags: [sun-aligned, casino-refuse, code-restricted]\n---\n# Sun-aligned panels, a model of casino-refusals\n"}, name="sun-aligned-casino-refuse-3b")),
    Benign("template-with-products", template(BODY + "{{ '-' * 40 if messages|length > 99 }}{% for i in range(3 * 3) %}{% for m in messages if m.role == 'user' %}{% endfor %}{% endfor %}")),
    Benign("ordinary-digits-in-name", whole_folder(chatting_folder, name="Qwen3-4B-Instruct-2507-h3-v1.1")),
]  # fmt: skip
