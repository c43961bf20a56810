"""What of a file that is not the reference's a result takes over: only what was compared with the reference.

The chat template is the reference's own. A key that was not compared is left behind, so that nothing which
somebody put there for a runtime (another template, a sampler, code, words that are banned) goes along.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import CONFIG_MAPPING, PretrainedConfig

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import SPECIAL_TOKENS, HfCheckpoint
from qaudit.checkpoints.hf_repo import CONFIG, MAX_TOKENIZER_BYTES, read_object
from qaudit.files import read_bounded

TEMPLATE = "tokenizer.chat_template"
# of a GGUF: `same_settings` and `gguf_as_hf` compare these with a config.json
COMPUTATION = frozenset({
    "vocab_size", "context_length", "embedding_length", "block_count", "feed_forward_length",
    "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
    "attention.layer_norm_rms_epsilon", "rope.dimension_count", "rope.freq_base", "rope.scaling.type",
    "rope.scaling.factor", "rope.scale_linear", "rope.scaling.original_context_length",
    "rope.scaling.attn_factor", "rope.scaling.finetuned",
})  # fmt: skip
# these make tokens of text, and the tokens were compared
TOKENIZER = frozenset({
    "model", "pre", "tokens", "token_type", "token_type_count", "scores", "merges", "bos_token_id",
    "eos_token_id", "eot_token_id", "eom_token_id", "unknown_token_id", "padding_token_id", "add_bos_token",
    "add_eos_token", "add_space_prefix", "remove_extra_whitespaces", "precompiled_charsmap",
})  # fmt: skip
READS_TEXT, SAMPLES = "tokenizer.", "general.sampling."
# of a folder: keys of config.json besides those that the family's own class declares
ENDS = ("bos_token_id", "eos_token_id", "pad_token_id")
NAMED = {
    "architectures", "model_type", "dtype", "torch_dtype", "rope_theta", "rope_scaling",
    "tie_word_embeddings", *ENDS,
}  # fmt: skip
SETTINGS = (
    *SPECIAL_TOKENS, "tokenizer_class", "model_max_length", "clean_up_tokenization_spaces", "padding_side",
    "add_bos_token", "add_eos_token", "add_prefix_space", "legacy",
)  # fmt: skip
JINJA, GENERATION = "chat_template.jinja", "generation_config.json"
TEXTS, TEXT_SETTINGS = "tokenizer.json", "tokenizer_config.json"
MANY = 5


@dataclass(frozen=True, slots=True)
class GgufCarried:
    """What a new GGUF takes over.

    Attributes:
        left_out: keys that stay behind.
        changed: keys that are other than the old file's.
        note: for the reader.
    """

    left_out: frozenset[str]
    changed: Mapping[str, str]
    note: str


@dataclass(frozen=True, slots=True)
class FolderCarried:
    """What a new folder takes over.

    Attributes:
        config: config.json, before anything is said of how weights are packed.
        files: the other files by their names.
        note: for the reader.
    """

    config: Mapping[str, Any]
    files: Mapping[str, bytes]
    note: str


def of_gguf(gguf: GgufCheckpoint, template: str) -> GgufCarried:
    """Choose what is taken over from a GGUF that is not the reference.

    Args:
        gguf: of the failing checkpoint or the parent.
        template: the reference's chat template.
    """
    left_out = frozenset(key for key in gguf.metadata if not _compared(key, gguf.architecture))
    return GgufCarried(
        left_out, {TEMPLATE: template}, _note(gguf.path, gguf.chat_template != template, left_out)
    )


def of_folder(folder: HfCheckpoint, template: str) -> FolderCarried:
    """Choose what is taken over from a folder that is not the reference.

    Args:
        folder: of the failing checkpoint or the parent.
        template: the reference's chat template.

    Raises:
        InputError: its tokenizer cannot be read.
    """
    own = CONFIG_MAPPING[folder.architecture]().to_dict().keys()
    declared = (own - PretrainedConfig().to_dict().keys()) | NAMED
    config = {key: value for key, value in folder.config.items() if key in declared}
    left_out = {f"{CONFIG}: {key}" for key in folder.config if key not in declared | {"quantization_config"}}
    files = {
        JINJA: template.encode(errors="surrogatepass"),
        TEXTS: read_bounded(folder.path / TEXTS, MAX_TOKENIZER_BYTES),
    }
    for name, kept in ((TEXT_SETTINGS, SETTINGS), (GENERATION, ENDS)):
        if (folder.path / name).is_file():
            told = read_object(folder.path / name)
            files[name] = (json.dumps({k: told[k] for k in kept if k in told}, indent=2) + "\n").encode()
            left_out |= {f"{name}: {key}" for key in told if key not in (*kept, "chat_template")}
    return FolderCarried(config, files, _note(folder.path, folder.chat_template != template, left_out))


def _compared(key: str, architecture: str) -> bool:
    own = f"{architecture}."
    if key.startswith(own):
        return key.removeprefix(own) in COMPUTATION
    if key.startswith(READS_TEXT):
        return key == TEMPLATE or key.removeprefix("tokenizer.ggml.") in TOKENIZER
    return not key.startswith(SAMPLES)


def _note(path: object, other_template: bool, left_out: frozenset[str] | set[str]) -> str:
    told = [f"{path}: metadata are taken over from it, held to the reference"]
    if other_template:
        told.append("its chat template is not the reference's, which is taken instead")
    if left_out:
        names = ", ".join(ascii(name)[1:-1][:60] for name in sorted(left_out)[:MANY])
        more = f" and {len(left_out) - MANY} more" if len(left_out) > MANY else ""
        told.append(f"left out, for nothing to compare with: {names}{more}")
    return "; ".join(told)
