"""A checkpoint folder in Hugging Face layout: packed tensors, configuration, and the parent's tokenizer."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from qaudit.checkpoints.hf_repo import CARRIED, CONFIG, INDEX, QUANTIZATION_FILES, SINGLE, read_object
from qaudit.errors import InputError, MissingExtra
from qaudit.files import folder_written_whole

try:
    from safetensors.torch import save_file
except ImportError as error:
    raise MissingExtra("safetensors", "hf") from error

SHARD_BYTES = 4 << 30
# what the parent's folder says of weights that are not carried over
_OF_WEIGHTS = (CONFIG, INDEX, *QUANTIZATION_FILES)


class Carried(Protocol):
    """Small files that are told, not copied."""

    @property
    def config(self) -> Mapping[str, Any]:
        """config.json, before anything is said of how weights are packed."""
        ...

    @property
    def files(self) -> Mapping[str, bytes]:
        """The others by their names."""
        ...


def write_hf_folder(
    target: Path,
    parent: Path,
    tensors: Mapping[str, Tensor],
    quantization: Mapping[str, Any] | None = None,
    *,
    more: Mapping[str, Any] | None = None,
    carried: Carried | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a folder whole, under a temporary name until it is complete.

    Args:
        target: the folder; one that is there is replaced.
        parent: folder whose config.json, tokenizer and chat template are carried over.
        tensors: every tensor by its name in the file.
        quantization: goes into config.json as quantization_config.
        more: further keys of config.json.
        carried: what is taken over in place of the parent's own files.
        shard_bytes: weights beyond this go into several files, with an index.

    Raises:
        InputError: the parent cannot be read, or the target is the parent.
        OutputProblem: the folder cannot be written.
    """
    if target.resolve() == parent.resolve():
        raise InputError(f"{target}: is the parent; give another folder for the result")
    told = read_object(parent / CONFIG) if carried is None else carried.config
    config = {**told, **(more or {})}
    if quantization is not None:
        config["quantization_config"] = dict(quantization)
    with folder_written_whole(target) as folder:
        if carried is None:
            for name in CARRIED:
                if name not in _OF_WEIGHTS and (parent / name).is_file():
                    shutil.copyfile(parent / name, folder / name)
        else:
            for name, data in carried.files.items():
                (folder / name).write_bytes(data)
        _write_json(folder / CONFIG, config)
        _write_weights(folder, tensors, shard_bytes)


def _write_weights(folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int) -> None:
    shards: list[dict[str, Tensor]] = [{}]
    room = shard_bytes
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        if shards[-1] and size > room:
            shards.append({})
            room = shard_bytes
        shards[-1][name] = tensor.detach().cpu().contiguous()
        room -= size
    if len(shards) == 1:
        _save(shards[0], folder / SINGLE)
        return
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _save(shard, folder / file)
        weight_map.update(dict.fromkeys(shard, file))
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    _write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": weight_map})


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    # the library writes a file of its own with permissions for one person
    path.touch()
    mode = path.stat().st_mode
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(mode)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
