from collections.abc import Callable
from typing import Any

import pytest
from attacks.gguf_builder import ARRAY, BOOL, F32, F64, I8, I32, STRING, U8, U32, U64, strings

from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.metadata.key_types import BOOK, wanted

Make = Callable[..., GgufWalk]


def severities(walk: GgufWalk) -> dict[str, str]:
    return {finding.id: finding.severity for finding in BOOK.findings(walk)}


def test_an_honest_file_breaks_no_rule(walked: Make) -> None:
    honest = {
        "tokenizer.ggml.tokens": (ARRAY, strings(["a", "b"])),
        "tokenizer.ggml.scores": (ARRAY, (F32, [0.0, 1.0])),
        "tokenizer.ggml.token_type": (ARRAY, (I32, [1, 1])),
        "tokenizer.ggml.precompiled_charsmap": (ARRAY, (I8, [1])),
        "llama.attention.head_count": (ARRAY, (U32, [4, 4])),
        "general.tags": (ARRAY, strings(["text-generation"])),
        "general.base_model.0.name": (STRING, "Base"),
        "somebody.elses.key": (F64, 1.0),
    }
    assert severities(walked(honest)) == {}


@pytest.mark.parametrize(
    ("key", "value", "rule", "severity"),
    [
        ("tokenizer.ggml.scores", (ARRAY, (U8, [1, 2])), "read-past-end", "critical"),
        ("tokenizer.ggml.scores", (F32, 1.0), "read-past-end", "critical"),
        ("tokenizer.ggml.scores", (ARRAY, (I32, [1])), "wrong-type", "medium"),
        ("tokenizer.ggml.token_type", (ARRAY, (U8, [1])), "read-past-end", "critical"),
        ("tokenizer.ggml.token_type", (ARRAY, (U32, [1])), "wrong-type", "medium"),
        ("clip.vision.image_mean", (ARRAY, (F32, [0.5])), "read-past-end", "critical"),
        ("clip.vision.image_std", (ARRAY, (F32, [0.5] * 4)), "wrong-type", "medium"),
        ("clip.vision.image_grid_pinpoints", (ARRAY, (I32, [1, 2, 3])), "odd-pinpoints", "critical"),
        ("general.name", (U32, 1), "wrong-type", "medium"),
        ("llama.block_count", (U64, 2), "wrong-type", "info"),
        ("llama.block_count", (STRING, "2"), "wrong-type", "medium"),
        ("tokenizer.ggml.eos_token_id", (F32, 2.0), "wrong-type", "medium"),
        ("tokenizer.ggml.add_bos_token", (U32, 1), "wrong-type", "medium"),
        ("tokenizer.ggml.merges", (ARRAY, (U8, [1])), "wrong-type", "medium"),
        ("llama.attention.head_count", (ARRAY, (U32, [4])), "per-block-length", "high"),
        ("llama.attention.head_count", (ARRAY, (F32, [4.0, 4.0])), "per-block-length", "high"),
    ],
)
def test_each_rule_fires(walked: Make, key: str, value: tuple[int, Any], rule: str, severity: str) -> None:
    assert severities(walked({key: value})).get(f"metadata-type/{rule}") == severity


def test_keys_of_which_nothing_is_known() -> None:
    assert wanted("other.key", "llama") is None
    assert wanted("general.something", "llama") is None
    found = wanted("tokenizer.ggml.add_bos_token", "llama")
    assert found is not None
    assert found.type == BOOL
