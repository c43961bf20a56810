"""Do a GGUF and a Hugging Face tokenizer.json number the same tokens alike?

Ids are compared one by one, with these differences allowed, all of which llama.cpp's converter makes:

- an id that tokenizer.json does not use may be padding in the GGUF: of type UNUSED, or named `[PAD<id>]`;
- tokens of a SentencePiece vocabulary may write a space as U+2581 or as itself, and an ASCII byte as
  `<0x09>` or as itself;
- at the end the GGUF may lack tokens that were added to the vocabulary, where its embeddings are cut off
  there too (Gemma 3 without its images), and padding of the embedding matrix.

Merges of a byte-level BPE must be the same and in the same order.
"""

import re
from typing import Any

import numpy as np
from gguf.constants import TokenType

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.hf_repo import MAX_TOKENIZER_BYTES, read_object
from qaudit.checkpoints.model_sizes import MAX_SIZE, ModelSizes
from qaudit.errors import Incomparable, MalformedFile

TOKENS, TYPES, MERGES = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges")
_ASCII_BYTE = re.compile(r"<0x([0-7][0-9A-F])>")
MEND = "give the model that it was made from"


def require_same_vocabulary(gguf: GgufCheckpoint, reference: HfCheckpoint, sizes: ModelSizes) -> None:
    """Check that each id means the same token in both.

    Raises:
        Incomparable: they do not, or the reference has no tokenizer.json.
        MalformedFile: the GGUF has no list of tokens, or tokenizer.json is not one.
    """
    tokens = _texts(gguf, TOKENS)
    rows = gguf.shape("token_embd")[0]
    if len(tokens) != rows:
        raise MalformedFile(
            gguf.path, f"{len(tokens)} tokens for {rows} rows of embeddings", "convert it again"
        )
    path = reference.path / "tokenizer.json"
    if not path.is_file():
        raise Incomparable(f"{reference.path}: has no tokenizer.json to compare tokens with; download it too")
    spec = read_object(path, MAX_TOKENIZER_BYTES)
    model = spec.get("model")
    if not isinstance(model, dict):
        raise MalformedFile(path, "has no model")
    trained, added = _trained(path, model), _added(path, spec)
    expected = trained | added
    _require_same_tokens(gguf, tokens, expected)
    cut_off = sorted(index for index in expected if len(tokens) <= index < sizes.vocabulary)
    if cut_off and (cut_off[0] in trained or sizes.model_type != "gemma3_text"):
        raise Incomparable(
            f"{gguf.path}: ends after {len(tokens)} tokens, the reference goes on to {cut_off[-1]}; {MEND}"
        )
    beyond = sorted(index for index in expected if sizes.vocabulary <= index < len(tokens))
    if beyond:
        raise Incomparable(
            f"{gguf.path}: has embeddings for token {beyond[0]}, the reference has {sizes.vocabulary}; {MEND}"
        )
    if gguf.text("tokenizer.ggml.model") == "gpt2" and model.get("type", "BPE") == "BPE":
        _require_same_merges(gguf, path, model)


def _require_same_tokens(gguf: GgufCheckpoint, tokens: list[str], expected: dict[int, str]) -> None:
    pieces = gguf.text("tokenizer.ggml.model") == "llama"
    types = gguf.metadata.get(TYPES)
    unused: set[int] = set()
    if isinstance(types, np.ndarray):
        unused = set(np.flatnonzero(types == int(TokenType.UNUSED)).tolist())
    for index, token in enumerate(tokens):
        wanted = expected.get(index)
        if wanted is None:
            same = index in unused or token == f"[PAD{index}]"
        else:
            same = token == wanted or (pieces and _plain(token) == _plain(wanted))
        if not same:
            theirs = "none" if wanted is None else ascii(wanted[:40])
            raise Incomparable(
                f"{gguf.path}: token {index} is {token[:40]!a}, in the reference it is {theirs}; {MEND}"
            )


def _plain(token: str) -> str:
    byte = _ASCII_BYTE.fullmatch(token)
    return chr(int(byte[1], 16)) if byte else token.replace("\u2581", " ")


def _texts(gguf: GgufCheckpoint, key: str) -> list[str]:
    value = gguf.metadata.get(key)
    if not isinstance(value, list) or not all(isinstance(token, str) for token in value):
        raise MalformedFile(gguf.path, f"{key} is not a list of texts", "convert it again")
    return value


def _trained(path: object, model: dict[str, Any]) -> dict[int, str]:
    """Return the vocabulary of the model by id: a map to ids, or a list of (piece, score)."""
    vocabulary = model.get("vocab")
    found: dict[int, str] = {}
    if isinstance(vocabulary, list):
        for index, entry in enumerate(vocabulary):
            if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
                raise MalformedFile(path, f"entry {index} of the vocabulary is not a piece and its score")
            found[index] = entry[0]
        return found
    if not isinstance(vocabulary, dict):
        raise MalformedFile(path, "the model has no vocab")
    for token, index in vocabulary.items():
        _put(path, found, index, token)
    return found


def _added(path: object, spec: dict[str, Any]) -> dict[int, str]:
    entries = spec.get("added_tokens") or []
    found: dict[int, str] = {}
    for entry in entries if isinstance(entries, list) else [None]:
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise MalformedFile(path, "added_tokens is not a list of tokens")
        _put(path, found, entry.get("id"), entry["content"])
    return found


def _put(path: object, found: dict[int, str], index: object, token: str) -> None:
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < MAX_SIZE:
        raise MalformedFile(path, f"token {token[:40]!a} has id {index!r:.40}")
    if found.setdefault(index, token) != token:
        raise MalformedFile(path, f"id {index} has two tokens")


def _require_same_merges(gguf: GgufCheckpoint, path: object, model: dict[str, Any]) -> None:
    theirs = _texts(gguf, MERGES)
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise MalformedFile(path, "the model has no merges")
    if len(theirs) != len(merges):
        raise Incomparable(
            f"{gguf.path}: {len(theirs)} merges, the reference's tokenizer has {len(merges)}; {MEND}"
        )
    for rank, (merge, other) in enumerate(zip(theirs, merges, strict=True)):
        if isinstance(other, list) and len(other) == 2 and all(isinstance(part, str) for part in other):
            # a space inside of a part is written as byte-level BPE writes it
            other = " ".join(part.replace(" ", "\u0120") for part in other)
        if merge != other:
            raise Incomparable(
                f"{gguf.path}: merge {rank} is {merge[:40]!a}, the reference has {other!a:.40}; {MEND}"
            )
