from pathlib import Path
from typing import Any

import pytest
from tokenizer_kit import SPECIAL, TEXTS, piece_model, tokenizer_json, write_json

from qaudit.static.surveying import survey
from qaudit.static.vocabulary import tokenizer_folder
from qaudit.static.vocabulary.tokenizer_folder import TokenizerFolder, read_folders, token_text

FIRST = len(TEXTS)


def read(root: Path, files: dict[str, Any]) -> tuple[TokenizerFolder, ...]:
    for name, content in files.items():
        write_json(root / name, content)
    return read_folders(survey(root))


def test_roles_are_found_through_the_tokenizers_config(tmp_path: Path) -> None:
    (found,) = read(
        tmp_path,
        {"tokenizer.json": tokenizer_json(), "tokenizer_config.json": {"eos_token": {"content": SPECIAL[2]}}},
    )
    assert found.view is not None
    assert found.view.special == {"eos": FIRST + 2}
    assert [surface.state for surface in found.surfaces] == ["examined", "examined"]


@pytest.mark.parametrize(
    ("files", "tokens"),
    [
        ({"vocab.json": {"a": 0, "b": 2}, "merges.txt": "a b\n"}, ["a", None, "b"]),
        ({"vocab.txt": "[PAD]\nthe\n"}, ["[PAD]", "the"]),
        ({"tokenizer.model": piece_model([("<unk>", 0.0, 2), ("a", 0.0, 1)])}, ["<unk>", "a"]),
        ({"tokenizer.model": b"YQ== 0\nYg== 1\n"}, ["a", "b"]),
        ({"vocab.json": {"a": -5, "b": 1 << 40, "c": 1}}, [None, "c"]),
    ],
)
def test_other_files_give_a_vocabulary_too(tmp_path: Path, files: dict[str, Any], tokens: list[str]) -> None:
    (found,) = read(tmp_path, files)
    assert found.view is not None
    assert list(found.view.tokens) == tokens


def test_folders_are_read_one_by_one_the_highest_first(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {"b/tokenizer.json": tokenizer_json(), "tokenizer.json": tokenizer_json(), "a/vocab.txt": "x"},
    )
    assert [folder.prefix for folder in found] == ["", "a/", "b/"]


def test_more_folders_than_are_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_folder, "MOST_FOLDERS", 1)
    found = read(tmp_path, {"a/vocab.txt": "x", "b/vocab.txt": "y"})
    assert [surface.state for folder in found for surface in folder.surfaces] == ["examined", "skipped"]


def test_another_librarys_tokenizer_is_told_as_not_looked_at(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {"tokenizer.json": {"class_name": "Tokenizer"}})
    assert found.view is None
    assert found.surfaces[0].state == "partial"


def test_the_size_of_the_embeddings_may_be_nested(tmp_path: Path) -> None:
    (found,) = read(
        tmp_path, {"vocab.txt": "x", "config.json": {"text_config": {"vocab_size": 7}, "vocab_size": "x"}}
    )
    assert found.embedding_rows == 7


def test_a_folder_without_tokenizer_files_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, {"config.json": {}}) == ()


def test_texts_of_tokens() -> None:
    assert token_text({"content": "<s>"}) == token_text("<s>") == "<s>"
    assert token_text(None) is token_text({"content": 4}) is None
