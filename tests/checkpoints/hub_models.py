"""A model as repositories on a hub hold it, and how tests fetch it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from checkpoints.by_hand import safetensors_bytes, stored

import qaudit
from qaudit.checkpoints.hub import FetchedRepo, fetch, parse_hub_spec

REFERENCE = Path(qaudit.__file__).parent / "lab" / "reference"
CHUNK = 10 << 20
BIG = os.urandom(1 << 20) * 25
SMALL: dict[str, bytes] = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": safetensors_bytes({"model.proj.weight": stored(np.eye(3, 4, dtype=np.float32))}),
    "modeling.py": b"raise SystemExit",
    "pytorch_model.bin": b"a pickle",
    "README.md": b"read me",
}
READ = {"config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"}


def get(text: str = "hf://o/r", **options: Any) -> FetchedRepo:
    return fetch(parse_hub_spec(text), **options)


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
