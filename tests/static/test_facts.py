import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from attacks.honest_models import TEMPLATE, chatting
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.facts import facts_of, vocabulary_sha256
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.inspecting import inspect_target
from qaudit.static.model_parts import ModelParts, TemplateText, TensorRow, VocabularyView

VIEW = FolderView("v", (Entry("a", 3, "gguf", None), Entry("b", 4, "other", None)))
VOCABULARY = VocabularyView(
    "v", "gpt2", ["a", None, "b"], kinds=[1, 1, 3], merges=["a b"], special={"eos": 2},
    added={"b": (2, frozenset({"special"}))}, pre="qwen2",
)  # fmt: skip


def test_without_a_model_the_size_is_known() -> None:
    assert facts_of(VIEW, []) == {"files": "2", "bytes": "7"}


def test_the_largest_model_tells() -> None:
    small = ModelParts(
        "s", "gguf", tensors=(TensorRow("t", (1,), "F32", 4),), settings={"general.name": "Small"}
    )
    large = ModelParts(
        "l", "safetensors",
        tensors=(TensorRow("t", (1,), "BF16", 10), TensorRow("u", (1,), "I32", 90)),
        settings={"config.json:architectures": ["LlamaForCausalLM"], "general.license": 7},
    )  # fmt: skip
    known = facts_of(VIEW, [small, large])
    assert known["models"] == "2"
    assert (known["format"], known["types"], known["tensors"]) == ("safetensors", "I32, BF16", "2")
    assert known["architecture"] == "LlamaForCausalLM"
    assert "name" not in known
    assert "licence" not in known


def test_templates_have_digests_and_tokenizers_where_asked() -> None:
    parts = ModelParts(
        "m", "gguf", templates=(TemplateText("m:t", "default", "x\ud800"),), vocabulary=VOCABULARY
    )
    plain, digests = facts_of(VIEW, [parts]), facts_of(VIEW, [parts], tokenizers=True)
    expected = hashlib.sha256("x\ud800".encode("utf-8", "surrogatepass")).hexdigest()
    assert plain["template_sha256 m:t default"] == expected
    assert "tokenizer_sha256 v" not in plain
    assert digests["tokenizer_sha256 v"] == vocabulary_sha256(VOCABULARY)


@pytest.mark.parametrize(
    "changed",
    [
        {"tokens": ["a", "", "b"]}, {"tokens": ["a", None, "b", None]}, {"kinds": [1, 3, 3]}, {"merges": ["b a"]},
        {"special": {"eos": 0}}, {"added": {}}, {"pre": "llama"}, {"model": "llama"},
    ],
)  # fmt: skip
def test_whatever_changes_a_tokenizer_changes_its_digest(changed: dict[str, object]) -> None:
    assert vocabulary_sha256(replace(VOCABULARY, **changed)) != vocabulary_sha256(VOCABULARY)  # type: ignore[arg-type]


@given(st.lists(st.text() | st.none()))
def test_any_text_has_a_digest(tokens: list[str | None]) -> None:
    assert len(vocabulary_sha256(replace(VOCABULARY, tokens=tokens))) == 64


def test_a_real_file_tells_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(chatting().build())
    facts = inspect_target(tmp_path / "m.gguf", hash_files=True).facts
    assert (facts["kind"], facts["format"], facts["architecture"]) == ("file", "gguf", "llama")
    digests = [value for key, value in facts.items() if key.startswith("template_sha256")]
    assert digests == [hashlib.sha256(TEMPLATE.encode()).hexdigest()]
