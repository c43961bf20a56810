from pathlib import Path

import pytest
from attacks.gguf_builder import ARRAY, F32, I32, STRING, U32, GgufBuilder, strings
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.byte_source import LocalBytes
from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.gguf.walking import walk_gguf
from qaudit.static.vocabulary.gguf_view import LazyTexts, vocabulary_of


def walked(path: Path, *pairs: tuple[str, int, object]) -> GgufWalk:
    GgufBuilder(pairs=[("general.architecture", STRING, "llama"), *pairs], tensors=[]).write(path)
    with LocalBytes(path) as source:
        return walk_gguf(source)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), min_size=1, max_size=30))
def test_texts_are_those_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    walk = walked(
        tmp_path_factory.getbasetemp() / "view.gguf", ("tokenizer.ggml.tokens", ARRAY, strings(texts))
    )
    view = vocabulary_of(walk)
    assert view is not None
    assert list(view.tokens) == texts
    assert view.tokens[0] == texts[0]
    assert view.tokens[-1:] == texts[-1:]
    joined = view.tokens.joined("\n")
    assert joined == ("\n".join(texts) if "\n" not in "".join(texts) else None)


def test_long_texts_and_empty_ones_are_read_too(tmp_path: Path) -> None:
    texts = ["", "a" * 256, "b", "", "c" * 70000, "\0", "é"]
    walk = walked(tmp_path / "x.gguf", ("tokenizer.ggml.tokens", ARRAY, strings(texts)))
    view = vocabulary_of(walk)
    assert view is not None
    assert isinstance(view.tokens, LazyTexts)
    assert list(view.tokens) == texts
    assert view.tokens.digest_bytes() == view.tokens.raw.block


def test_a_header_without_tokens_has_no_vocabulary(tmp_path: Path) -> None:
    assert vocabulary_of(walked(tmp_path / "x.gguf")) is None


def test_kinds_scores_and_roles_are_kept(tmp_path: Path) -> None:
    walk = walked(
        tmp_path / "x.gguf",
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.tokens", ARRAY, strings(["<unk>", "a"])),
        ("tokenizer.ggml.token_type", ARRAY, (I32, [2, 1])),
        ("tokenizer.ggml.scores", ARRAY, (F32, [0.0, -1.0])),
        ("tokenizer.ggml.unknown_token_id", U32, 0),
        ("tokenizer.ggml.padding_token_id", U32, 1),
        ("tokenizer.ggml.eos_token_id", U32, 1),
    )
    view = vocabulary_of(walk)
    assert view is not None
    assert list(view.kinds) == [2, 1]
    assert list(view.scores) == [0.0, -1.0]
    assert view.special == {"unk": 0, "pad": 1, "eos": 1}
