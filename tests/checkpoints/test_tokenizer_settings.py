"""The lab's F16 beside its folder: alike, and with each setting turned to something else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.tokenizer_settings import TYPES, tokenizer_differences
from qaudit.lab.members import reference_folder


@pytest.fixture
def gguf(f16: Path) -> GgufCheckpoint:
    opened = GgufCheckpoint(f16)
    opened.metadata = dict(opened.metadata)
    return opened


def differences(gguf: GgufCheckpoint) -> list[str]:
    return tokenizer_differences(gguf, HfCheckpoint(reference_folder()))


def test_a_converted_folder_does_not_differ(gguf: GgufCheckpoint) -> None:
    assert differences(gguf) == []


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("tokenizer.ggml.eos_token_id", 100, "its eos token is"),
        ("tokenizer.ggml.bos_token_id", 100, "its bos token is"),
        ("tokenizer.ggml.model", "llama", "a byte-level BPE"),
        ("tokenizer.ggml.tokens", None, "no list of tokens"),
    ],
)
def test_what_a_runtime_would_do_otherwise(gguf: GgufCheckpoint, key: str, value: Any, told: str) -> None:
    gguf.metadata[key] = value  # type: ignore[index]
    (line,) = differences(gguf)
    assert told in line
    assert "\n" not in line


def test_special_tokens_that_became_plain_text(gguf: GgufCheckpoint) -> None:
    types = gguf.metadata[TYPES]
    assert isinstance(types, np.ndarray)
    gguf.metadata[TYPES] = np.ones_like(types)  # type: ignore[index]
    (line,) = differences(gguf)
    assert "special tokens are plain text in it" in line
