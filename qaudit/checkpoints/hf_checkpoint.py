"""A Hugging Face folder as a read-only checkpoint: what it is, its tokenizer, its rows."""

import functools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qaudit.checkpoints.checkpoint import identity
from qaudit.checkpoints.codecs.module_parts import Codec, ModuleParts
from qaudit.checkpoints.codecs.schemes import MAIN_PARTS, PARTS, Scheme
from qaudit.checkpoints.file_stamps import require_stamp
from qaudit.checkpoints.folder_files import files_of
from qaudit.checkpoints.hf_repo import MAX_TOKENIZER_BYTES, HfFolder, read_hf_folder, read_object
from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.checkpoints.row_ranges import checked_range
from qaudit.checkpoints.safetensors import SafeTensor, SafetensorsFile
from qaudit.errors import InputError, MalformedFile
from qaudit.files import read_bounded, sha256_bytes
from qaudit.values import CheckpointInfo

SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


class HfCheckpoint:
    """A parsed folder; tensor bytes are read only when asked for.

    Args:
        path: the folder.
        origin: where it was fetched from, which `info` tells in place of the path.
        files: which files of the folder it is made of; None for all of them.

    Raises:
        InputError: it is not in Hugging Face layout, or quantized in a way that is not read here.
        MalformedFile, LimitExceeded: a file lies about itself.
    """

    format = "safetensors"

    def __init__(self, path: Path, origin: str | None = None, files: Sequence[Path] | None = None) -> None:
        self.path = path
        self._origin = origin
        self._files = files
        self._folder: HfFolder = read_hf_folder(path)
        self.config = self._folder.config
        self._scheme = Scheme(self._folder.quantization_path, self._folder.quantization)
        self._modules = _by_module(self._folder.weights)
        if not self.architecture.isprintable():
            raise MalformedFile(path / "config.json", "model_type is not printable text")

    @functools.cached_property
    def info(self) -> CheckpointInfo:
        """Identity of the checkpoint; hashes every one of its files when first asked, also those not read.

        Raises:
            InputError: a file cannot be read, or is not the one that was opened any more.
        """
        files = files_of(self.path) if self._files is None else self._files
        return identity(self, files, self.path, self._origin)

    def require_unchanged(self) -> None:
        """Check that the weights on disk are still those whose headers were read.

        Raises:
            InputError: one was replaced, written to or removed.
        """
        for file in self._folder.weights:
            require_stamp(file.path, file.stamp)

    @property
    def architecture(self) -> str:
        """`model_type` of config.json, or "unknown"."""
        return self.text("model_type") or "unknown"

    @property
    def quantized(self) -> bool:
        """Whether a quantization_config says how its weights are packed."""
        return self._scheme.name != "none"

    @property
    def quantization_config(self) -> dict[str, Any] | None:
        """How its weights are packed, as the folder says it; None for a float checkpoint."""
        return self._folder.quantization

    @property
    def quantization(self) -> str:
        """The scheme's name, or the type that holds most weights."""
        if self.quantized:
            return self._scheme.name
        weights: dict[str, int] = {}
        for file in self._folder.weights:
            for tensor in file.tensors.values():
                weights[tensor.dtype] = weights.get(tensor.dtype, 0) + tensor.elements
        return max(weights, key=lambda name: weights[name]) if weights else "none"

    @functools.cached_property
    def parameters(self) -> int:
        """Number of weights of all modules, unpacked."""
        return sum(math.prod(self.shape(name)) for name in self._modules)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits divided by weights, measured from the headers and not from a claim."""
        size = sum(tensor.size for file in self._folder.weights for tensor in file.tensors.values())
        return 8 * size / self.parameters if self.parameters else 0.0

    def text(self, key: str) -> str | None:
        """Return a value of config.json if it is a string."""
        value = self.config.get(key)
        return value if isinstance(value, str) else None

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of the chat template, unrendered."""
        return self._folder.chat_template

    @property
    def special_tokens(self) -> dict[str, str]:
        """bos_token, eos_token, unk_token and pad_token as text, where they are declared."""
        found: dict[str, str] = {}
        for name in SPECIAL_TOKENS:
            given = self._folder.tokenizer_config.get(name)
            text = given.get("content") if isinstance(given, dict) else given
            if isinstance(text, str):
                found[name] = text
        return found

    @functools.cached_property
    def tokenizer_digest(self) -> str:
        """SHA-256 over what decides how text becomes tokens.

        Raises:
            InputError: the folder has no tokenizer that is read here.
        """
        for file in self._folder.carried:
            if file.name in ("tokenizer.json", "tekken.json"):
                try:
                    return sha256_bytes(_canonical(read_object(file, MAX_TOKENIZER_BYTES)))
                except RecursionError as error:
                    raise MalformedFile(file, "nested too deeply") from error
            if file.name == "tokenizer.model":
                return sha256_bytes(read_bounded(file, MAX_TOKENIZER_BYTES))
        raise InputError(f"{self.path}: has no tokenizer.json; download it too")

    def names(self) -> Sequence[str]:
        """Module names in file order, such as `model.layers.0.self_attn.q_proj`."""
        return list(self._modules)

    def shape(self, name: str) -> tuple[int, int]:
        """Return (rows, columns) of a module's weight, unpacked; a vector is one row.

        Raises:
            InputError: no such module, or its parts do not fit together.
        """
        codec, parts = self._find(name)
        return codec.shape(parts)

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> FloatArray:
        """Decode rows [start, stop) of a module's weight.

        Shapes:
            returns float32 [stop - start, columns], rows are outputs.

        Raises:
            InputError: no such module, a range outside it or over 2 GiB decoded, parts that do not fit
                together, or a file that was changed since it was opened.
        """
        codec, parts = self._find(name)
        shape = codec.shape(parts)
        start, stop = checked_range(self.path, name, shape, start, stop)
        if stop == start:
            return np.empty((0, shape[1]), np.float32)
        return codec.rows(parts, start, stop)

    def types(self) -> dict[str, str]:
        """Return the stored type of each module's weight."""
        return {
            name: next(parts.dtype(part) for part in MAIN_PARTS if part in parts)
            for name, parts in self._modules.items()
        }

    def _find(self, name: str) -> tuple[Codec, ModuleParts]:
        try:
            parts = self._modules[name]
        except KeyError:
            raise InputError(f"{self.path}: has no module {name!r}; see names()") from None
        return self._scheme.codec_for(parts), parts


def _by_module(files: Sequence[SafetensorsFile]) -> dict[str, ModuleParts]:
    """Gather the parts of each module; a tensor that is a part of none is a module of that name."""
    held: dict[str, tuple[SafetensorsFile, SafeTensor]] = {}
    for file in files:
        for name, tensor in file.tensors.items():
            if name in held:
                raise MalformedFile(file.path, f"tensor {name[:80]!a} is in {held[name][0].path.name} too")
            held[name] = (file, tensor)
    modules: dict[str, dict[str, tuple[SafetensorsFile, SafeTensor]]] = {}
    for name, found in held.items():
        module, part = _split(name, held)
        modules.setdefault(module, {})[part] = found
    return {module: ModuleParts(module, parts) for module, parts in modules.items()}


def _split(name: str, held: dict[str, Any]) -> tuple[str, str]:
    pieces = name.split(".")
    # a part's own name has one to three pieces, such as `weight.quant_state.bitsandbytes__nf4`
    for count in (1, 2, 3):
        module, part = ".".join(pieces[:-count]), ".".join(pieces[-count:])
        # none may hide another: where a tensor has just the module's name, its parts keep their whole names
        if (
            module
            and module not in held
            and part in PARTS
            and any(f"{module}.{main}" in held for main in MAIN_PARTS)
        ):
            return module, part
    return name, "weight"


def _canonical(tokenizer: dict[str, Any]) -> bytes:
    # padding and truncation are settings of a call; merges are written as pairs or as texts
    kept = {key: value for key, value in tokenizer.items() if key not in ("truncation", "padding")}
    model = kept.get("model")
    if isinstance(model, dict) and isinstance(model.get("merges"), list):
        # a text of one space is a pair; a token with spaces of its own can only be written as one
        pairs = [m.split(" ") if isinstance(m, str) and m.count(" ") == 1 else m for m in model["merges"]]
        kept["model"] = {**model, "merges": pairs}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode("utf-8", "surrogatepass")
