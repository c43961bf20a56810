"""What a GGUF tells a runtime of its tokenizer, against the folder whose tokenizer an audit uses for it.

Where a GGUF's weights run in the place of a folder's, the folder's tokenizer reads the prompts and its
endings end the replies. A GGUF that says otherwise behaves otherwise where it is deployed.
"""

import numpy as np
from gguf.constants import TokenType

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.hf_repo import MAX_TOKENIZER_BYTES, read_object
from qaudit.checkpoints.pre_tokenizers import KEY as PRE
from qaudit.checkpoints.pre_tokenizers import way_named, way_written

TOKENS, TYPES, MODEL = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.model")
# types of tokens that a runtime takes whole out of a rendered prompt
TAKEN_WHOLE = (int(TokenType.CONTROL), int(TokenType.USER_DEFINED))
BYTE_LEVEL = "ByteLevel"


def tokenizer_differences(gguf: GgufCheckpoint, folder: HfCheckpoint) -> list[str]:
    """Return one line for each thing that a runtime of the GGUF would do otherwise.

    Compared are the opening and ending tokens, the tokens that templates are made of, the kind of
    tokenizer and, where both are known, how it cuts text; the vocabulary itself is compared by
    `same_vocabulary`.

    Raises:
        InputError: tokenizer.json cannot be read.
    """
    tokens = gguf.metadata.get(TOKENS)
    if not isinstance(tokens, list):
        return ["it has no list of tokens"]
    found = []
    for role in ("bos", "eos"):
        wanted = folder.special_tokens.get(f"{role}_token")
        index = gguf.metadata.get(f"tokenizer.ggml.{role}_token_id")
        held = tokens[index] if isinstance(index, int) and 0 <= index < len(tokens) else None
        if wanted is not None and held is not None and held != wanted:
            found.append(f"its {role} token is {held[:40]!a}, the folder's is {wanted[:40]!a}")
    spec = read_object(folder.path / "tokenizer.json", MAX_TOKENIZER_BYTES)
    types = gguf.metadata.get(TYPES)
    if isinstance(types, np.ndarray):
        loose = [
            tokens[index]
            for index in special_ids(spec)
            if index < min(len(tokens), len(types)) and int(types[index]) not in TAKEN_WHOLE
        ]
        if loose:
            found.append(f"{len(loose)} special tokens are plain text in it, the first is {loose[0][:40]!a}")
    kind = gguf.text(MODEL)
    if BYTE_LEVEL in (_kinds(spec.get("pre_tokenizer")) | _kinds(spec.get("decoder"))) and kind != "gpt2":
        found.append(f"its tokenizer is of kind {str(kind)[:40]!a}, the folder's is a byte-level BPE (gpt2)")
    # llama.cpp heeds the name for a byte-level BPE alone
    if kind == "gpt2":
        found += _cut_otherwise(gguf, spec.get("pre_tokenizer"))
    return found


def _cut_otherwise(gguf: GgufCheckpoint, pre_tokenizer: object) -> list[str]:
    name = gguf.text(PRE)
    theirs, ours = way_named(name), way_written(pre_tokenizer)
    if theirs is None or ours is None or theirs == ours:
        return []
    told = "names no pre-tokenizer" if name is None else f"names the pre-tokenizer {name!a}"
    return [f"it {told}, so that llama.cpp cuts text otherwise than the folder's, which is {ours!a}"]


def special_ids(spec: dict[str, object]) -> list[int]:
    """Return the ids that a tokenizer.json adds as special tokens."""
    entries = spec.get("added_tokens")
    return [
        entry["id"]
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and entry.get("special") is True and isinstance(entry.get("id"), int)
    ]


def _kinds(part: object) -> set[object]:
    """Return the types of a tokenizer's part and of those that it is a sequence of."""
    if not isinstance(part, dict):
        return set()
    nested = part.get("pretokenizers") or part.get("decoders") or []
    inner = nested if isinstance(nested, list) else []
    return {part.get("type"), *(p.get("type") for p in inner if isinstance(p, dict))}
