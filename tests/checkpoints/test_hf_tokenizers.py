"""What a folder's digest of its tokenizer covers, and its special tokens."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.by_hand import Stored, stored, write_folder

from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.errors import InputError
from qaudit.files import sha256_bytes

MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)
SMALL: dict[str, Stored] = {
    "model.proj.weight": stored(MATRIX),
    "model.norm.weight": stored(np.ones(4, np.float16)),
}


def tokenizer(**model: object) -> dict[str, Any]:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": 0, "content": "<s>"}],
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"], **model},
    }


def digest_of(tmp_path: Path, content: object) -> str:
    folder = write_folder(tmp_path / "x", SMALL)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return HfCheckpoint(folder).tokenizer_digest


def test_the_tokenizer_digest_is_of_what_matters(tmp_path: Path) -> None:
    digest = digest_of(tmp_path, tokenizer())
    assert len(digest) == 64
    # transformers 4.45 began to write merges as pairs
    assert digest_of(tmp_path, tokenizer(merges=[["a", "b"]])) == digest
    reordered = dict(reversed(tokenizer().items()))
    assert digest_of(tmp_path, reordered) == digest
    for key, value in (("truncation", {"max_length": 9}), ("padding", {"pad_id": 0})):
        assert digest_of(tmp_path, tokenizer() | {key: value}) == digest
    others = [
        tokenizer(merges=["b a"]),
        tokenizer(merges=["a b", "b a"]),
        tokenizer(vocab={"a": 1, "b": 0, "ab": 2}),
        tokenizer() | {"added_tokens": []},
        tokenizer() | {"normalizer": {"type": "Lowercase"}},
        tokenizer(type="Unigram"),
    ]
    assert len({digest_of(tmp_path, other) for other in others} | {digest}) == len(others) + 1


def test_the_tokenizer_digest_of_what_tokenizers_writes(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    folder = write_folder(tmp_path / "x", SMALL)
    made.save(str(folder / "tokenizer.json"))
    digest = HfCheckpoint(folder).tokenizer_digest
    read = json.loads((folder / "tokenizer.json").read_text())
    for merges in ([["a", "b"]], ["a b"]):
        read["model"]["merges"] = merges
        (folder / "tokenizer.json").write_text(json.dumps(read))
        assert HfCheckpoint(folder).tokenizer_digest == digest
    made.enable_truncation(5)
    made.save(str(folder / "tokenizer.json"))
    assert HfCheckpoint(folder).tokenizer_digest == digest


def test_other_tokenizers(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", SMALL)
    with pytest.raises(InputError, match=r"has no tokenizer\.json; download it too"):
        _ = HfCheckpoint(folder).tokenizer_digest
    (folder / "tekken.json").write_text('{"config": {}}')
    tekken = HfCheckpoint(folder).tokenizer_digest
    (folder / "tokenizer.model").write_bytes(b"sentencepiece")
    assert HfCheckpoint(folder).tokenizer_digest == sha256_bytes(b"sentencepiece") != tekken
    (folder / "tokenizer.json").write_text("{}")
    assert HfCheckpoint(folder).tokenizer_digest not in (tekken, sha256_bytes(b"sentencepiece"))


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"model": None},
        {"model": {"merges": None}},
        {"model": {"merges": [1, None, {}]}},
        {"added_tokens": [{"content": "\ud800"}]},
        pytest.param(
            {"model": {"merges": [[1, 2]]}},
        ),
    ],
    ids=["empty", "no model", "no merges", "odd merges", "half a pair", "merges of numbers"],
)
def test_odd_tokenizers_have_a_digest_or_are_refused(tmp_path: Path, content: object) -> None:
    try:
        assert len(digest_of(tmp_path, content)) == 64
    except InputError as error:
        assert "tokenizer.json" in str(error)  # noqa: PT017


def test_merges_of_tokens_with_spaces_are_told_apart(tmp_path: Path) -> None:
    vocab = {"a": 0, "b c": 1, "a b": 2, "c": 3, "a b c": 4}
    first = digest_of(tmp_path, tokenizer(vocab=vocab, merges=[["a", "b c"]]))
    assert digest_of(tmp_path, tokenizer(vocab=vocab, merges=[["a b", "c"]])) != first


def test_special_tokens_as_text_or_object(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", SMALL)
    assert HfCheckpoint(folder).special_tokens == {}
    given = {
        "bos_token": "<s>",
        "eos_token": {"content": "</s>", "lstrip": False},
        "unk_token": None,
        "pad_token": {"lstrip": True},
        "mask_token": "<m>",
        "chat_template": "{{ messages }}",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(given))
    checkpoint = HfCheckpoint(folder)
    assert checkpoint.special_tokens == {"bos_token": "<s>", "eos_token": "</s>"}
    assert checkpoint.chat_template == "{{ messages }}"
    assert "tokenizer_config.json" in [file.path for file in checkpoint.info.files]
