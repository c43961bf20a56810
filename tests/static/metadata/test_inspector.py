from collections.abc import Callable
from typing import Any

import pytest
from attacks.gguf_builder import ARRAY, F32, I32, STRING, U8, U32, strings

from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.metadata import text_rules
from qaudit.static.metadata.inspector import gguf_metadata, gguf_vocabulary

Make = Callable[..., GgufWalk]
TOKENS: dict[str, tuple[int, Any]] = {
    "tokenizer.ggml.model": (STRING, "llama"),
    "tokenizer.ggml.tokens": (ARRAY, strings(["<s>", "</s>", "a", "b", "ab", "c", "d", "e"])),
    "tokenizer.ggml.token_type": (ARRAY, (I32, [3, 3, 1, 1, 1, 1, 1, 1])),
    "tokenizer.ggml.scores": (ARRAY, (F32, [0.0] * 8)),
    "tokenizer.ggml.eos_token_id": (U32, 1),
}


def test_an_honest_header_breaks_no_rule(walked: Make) -> None:
    examined = gguf_metadata(walked(TOKENS))
    assert examined.findings == []
    assert examined.surfaces == []
    assert examined.parts is None


@pytest.mark.parametrize(
    ("pairs", "rule"),
    [
        ({"general.file_type": (U32, 1)}, "origin/file-type"),
        ({"tokenizer.ggml.scores": (ARRAY, (U8, [0]))}, "metadata-type/read-past-end"),
        ({"llama.block_count": (U32, 9)}, "architecture/blocks-missing"),
        ({"general.name": (STRING, "a\u202eb")}, "metadata-text/hidden-characters"),
        ({"general.sampling.temp": (F32, 99.0)}, "sampling/out-of-range"),
        ({"clip.vision.patch_size": (U32, 0)}, "projector/out-of-bounds"),
        ({"adapter.lora.alpha": (F32, 0.0)}, "adapter/scale"),
        ({"tokenizer.ggml.tokens": (ARRAY, strings(["a"]))}, "vocabulary/embedding-rows"),
        ({"tokenizer.ggml.eos_token_id": (U32, 2)}, "special-token/end-token-not-control"),
    ],
)
def test_every_family_of_rules_is_applied(walked: Make, pairs: dict[str, Any], rule: str) -> None:
    assert rule in {finding.id for finding in gguf_metadata(walked({**TOKENS, **pairs})).findings}


def test_the_rows_of_the_embeddings_are_the_tensors(walked: Make) -> None:
    found = gguf_vocabulary(walked(TOKENS))
    assert found is not None
    assert found.rows == 8
    assert gguf_vocabulary(walked()) is None


def test_what_is_not_judged_is_told(walked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rules, "MAX_ALL", 3)
    examined = gguf_metadata(walked(TOKENS))
    assert [(surface.kind, surface.state) for surface in examined.surfaces] == [("metadata", "partial")]


def test_tokens_that_are_no_list_of_texts_are_told(walked: Make) -> None:
    nested = {"tokenizer.ggml.tokens": (ARRAY, (ARRAY, [(U32, [1])]))}
    examined = gguf_metadata(walked(nested))
    assert [surface.kind for surface in examined.surfaces] == ["tokenizer"]
