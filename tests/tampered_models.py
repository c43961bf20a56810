"""Checkpoints that somebody has laid hands on: the same weights, other words around them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qaudit.checkpoints.gguf import read_gguf
from realign.gguf_file import NewTensor, write_gguf_file


def tampered_gguf(path: Path, source: Path, changed: dict[str, int | str]) -> Path:
    """Copy a GGUF with other metadata; its tensors stay bit for bit."""
    held = read_gguf(source).tensors
    raw = source.read_bytes()
    tensors = [NewTensor(t.name, t.shape, t.type.name) for t in held]
    write_gguf_file(path, source, tensors, [[raw[t.offset : t.offset + t.size]] for t in held], changed)
    return path


def tampered_folder(path: Path, source: Path, file: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """Copy a folder, if it is not there yet, and change one of its JSON files."""
    if not path.exists():
        shutil.copytree(source, path)
    value = json.loads((path / file).read_text(encoding="utf-8"))
    change(value)
    (path / file).write_text(json.dumps(value), encoding="utf-8")
    return path
