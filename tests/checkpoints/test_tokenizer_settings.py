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
        (
            "tokenizer.ggml.pre",
            "qwen2",
            "names the pre-tokenizer 'qwen2', so that llama.cpp cuts text otherwise",
        ),
        ("tokenizer.ggml.pre", "default", "the folder's, which is 'gpt-2'"),
        ("tokenizer.ggml.pre", None, "it names no pre-tokenizer"),
    ],
)
def test_what_a_runtime_would_do_otherwise(gguf: GgufCheckpoint, key: str, value: Any, told: str) -> None:
    gguf.metadata[key] = value  # type: ignore[index]
    (line,) = differences(gguf)
    assert told in line
    assert "\n" not in line


@pytest.mark.parametrize("name", ["phi-2", "a-name-of-tomorrow", "\x1b[31m" * 100])
def test_names_that_cut_alike_or_are_not_known(gguf: GgufCheckpoint, name: str) -> None:
    gguf.metadata["tokenizer.ggml.pre"] = name  # type: ignore[index]
    assert differences(gguf) == []


def test_the_name_means_nothing_to_other_kinds(gguf: GgufCheckpoint) -> None:
    gguf.metadata["tokenizer.ggml.model"] = "llama"  # type: ignore[index]
    gguf.metadata["tokenizer.ggml.pre"] = "default"  # type: ignore[index]
    (line,) = differences(gguf)
    assert "pre-tokenizer" not in line


def test_special_tokens_that_became_plain_text(gguf: GgufCheckpoint) -> None:
    types = gguf.metadata[TYPES]
    assert isinstance(types, np.ndarray)
    gguf.metadata[TYPES] = np.ones_like(types)  # type: ignore[index]
    (line,) = differences(gguf)
    assert "special tokens are plain text in it" in line
