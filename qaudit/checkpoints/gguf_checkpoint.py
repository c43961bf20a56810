"""A GGUF, whole or split, as a read-only checkpoint: what it is, its tokenizer, its rows."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf.constants import LlamaFileType

from qaudit.checkpoints.checkpoint import identity
from qaudit.checkpoints.codecs.ggml import FloatRows, decode_rows
from qaudit.checkpoints.file_stamps import read_stamped, require_stamp
from qaudit.checkpoints.gguf import GgufFile, GgufTensor
from qaudit.checkpoints.gguf_split import read_split
from qaudit.checkpoints.row_ranges import checked_range
from qaudit.errors import InputError, MalformedFile
from qaudit.files import sha256_bytes
from qaudit.values import CheckpointInfo

# everything that decides how text becomes tokens; the template is compared apart
_TOKENIZER_KEYS = (
    "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type",
    "tokenizer.ggml.scores", "tokenizer.ggml.merges",
    "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token", "tokenizer.ggml.add_space_prefix",
    "tokenizer.ggml.remove_extra_whitespaces", "tokenizer.ggml.precompiled_charsmap",
)  # fmt: skip


class GgufCheckpoint:
    """A parsed GGUF; tensor bytes are read only when asked for.

    Args:
        path: the file, or any of a split set.
        origin: where it was fetched from, which `info` tells in place of the path.

    Attributes:
        path: the file, or the first of a split set (the one that llama.cpp wants), whichever was given.

    Raises:
        MalformedFile, LimitExceeded: see `qaudit.checkpoints.gguf`; or a text that decides what a
            runtime does (architecture, template, special token) holds a NUL or is not UTF-8, so that
            llama.cpp, which stops at a NUL, and others would read different things.
    """

    format = "gguf"

    def __init__(self, path: Path, origin: str | None = None) -> None:
        self._shards: tuple[GgufFile, ...] = read_split(path)
        self.path = self._shards[0].path
        self._origin = origin
        self._tensors = _by_module(self._shards)
        self.metadata: dict[str, Any] = self._shards[0].metadata
        for key, value in self.metadata.items():
            if isinstance(value, str) and key.startswith(("general.architecture", "tokenizer.")):
                _require_same_for_all(self.path, key, value)
        if not self.architecture.isprintable():
            raise MalformedFile(self.path, "general.architecture is not printable text")
        for name, token in self.special_tokens.items():
            _require_same_for_all(self.path, name, token)

    @functools.cached_property
    def info(self) -> CheckpointInfo:
        """Identity of the checkpoint; hashes every file when first asked.

        Raises:
            InputError: a file cannot be read, or is not the one that was opened any more.
        """
        return identity(self, [s.path for s in self._shards], self.path.parent, self._origin)

    def require_unchanged(self) -> None:
        """Check that the files on disk are still the ones whose headers were read.

        Raises:
            InputError: one was replaced, written to or removed.
        """
        for shard in self._shards:
            require_stamp(shard.path, shard.stamp)

    @property
    def architecture(self) -> str:
        """`general.architecture`, or "unknown"."""
        return self.text("general.architecture") or "unknown"

    @property
    def quantization(self) -> str:
        """llama.cpp's name of the file type, or the type that holds most weights."""
        declared = self.metadata.get("general.file_type")
        if isinstance(declared, int) and not isinstance(declared, bool):
            try:
                return LlamaFileType(declared).name.removeprefix("MOSTLY_").removeprefix("ALL_")
            except ValueError:
                pass
        weights: dict[str, int] = {}
        for _, tensor in self._tensors.values():
            weights[tensor.type.name] = weights.get(tensor.type.name, 0) + tensor.elements
        return max(weights, key=lambda name: weights[name]) if weights else "none"

    @property
    def parameters(self) -> int:
        """Number of weights in all tensors."""
        return sum(tensor.elements for _, tensor in self._tensors.values())

    @property
    def bits_per_weight(self) -> float:
        """Packed bits divided by weights, measured from the tensor table and not from a claim."""
        size = sum(tensor.size for _, tensor in self._tensors.values())
        return 8 * size / self.parameters if self.parameters else 0.0

    def text(self, key: str) -> str | None:
        """Return a metadata value if it is a string."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of the chat template, unrendered."""
        return self.text("tokenizer.chat_template")

    @property
    def special_tokens(self) -> dict[str, str]:
        """bos_token, eos_token, unk_token and pad_token as text, where they are declared."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        found: dict[str, str] = {}
        for name, key in (
            ("bos_token", "bos"),
            ("eos_token", "eos"),
            ("unk_token", "unknown"),
            ("pad_token", "padding"),
        ):
            index = self.metadata.get(f"tokenizer.ggml.{key}_token_id")
            if not isinstance(tokens, list) or not isinstance(index, int) or isinstance(index, bool):
                continue
            if 0 <= index < len(tokens):
                found[name] = tokens[index]
        return found

    @functools.cached_property
    def tokenizer_digest(self) -> str:
        """SHA-256 over all metadata that decides how text becomes tokens."""
        parts = [f"{key}={_digestible(self.metadata.get(key))}" for key in _TOKENIZER_KEYS]
        return sha256_bytes("\n".join(parts).encode("utf-8", errors="surrogateescape"))

    def names(self) -> Sequence[str]:
        """Module names in file order, such as `blk.0.attn_q`."""
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, int]:
        """Return (rows, columns) of a module's weight; a vector is one row.

        Raises:
            InputError: no such module.
        """
        _, tensor = self._find(name)
        return tensor.elements // tensor.shape[0], tensor.shape[0]

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> FloatRows:
        """Decode rows [start, stop) of a module's weight.

        Shapes:
            returns float32 [stop - start, columns], rows are outputs.

        Raises:
            InputError: no such module, a range outside it or over 2 GiB decoded, or the file was
                replaced, written to or removed since it was opened.
        """
        shard, tensor = self._find(name)
        rows, columns = self.shape(name)
        start, stop = checked_range(self.path, name, (rows, columns), start, stop)
        row_bytes = tensor.size // rows
        offset = tensor.offset + start * row_bytes
        packed = read_stamped(shard.path, shard.stamp, offset, (stop - start) * row_bytes)
        if stop == start:
            return np.empty((0, columns), np.float32)
        return decode_rows(packed, tensor.type, columns)

    def types(self) -> dict[str, str]:
        """Return the ggml type of each module."""
        return {name: tensor.type.name for name, (_, tensor) in self._tensors.items()}

    def _find(self, name: str) -> tuple[GgufFile, GgufTensor]:
        try:
            return self._tensors[name]
        except KeyError:
            raise InputError(f"{self.path}: has no module {name!r}; see names()") from None


def _by_module(shards: Sequence[GgufFile]) -> dict[str, tuple[GgufFile, GgufTensor]]:
    held = {tensor.name: (shard, tensor) for shard in shards for tensor in shard.tensors}
    # `x.weight` is module `x`, unless a tensor has just that name: none may hide another
    return {
        name if name.removesuffix(".weight") in held else name.removesuffix(".weight"): found
        for name, found in held.items()
    }


def _require_same_for_all(path: Path, key: str, text: str) -> None:
    if "\0" in text:
        raise MalformedFile(path, f"{key} holds a NUL, where llama.cpp stops reading and others do not")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise MalformedFile(path, f"{key} is not UTF-8 text")


def _digestible(value: object) -> str:
    if isinstance(value, np.ndarray):
        return sha256_bytes(value.tobytes())
    if isinstance(value, list):
        joined = "".join(f"{len(v)}:{v}" for v in value)
        return sha256_bytes(joined.encode("utf-8", errors="surrogateescape"))
    return repr(value)
