import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attacks.gguf_builder import ARRAY, I32, STRING, GgufBuilder, Tensor, strings
from checkpoints.by_hand import stored, write_folder
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.model_sizes import read_sizes
from qaudit.checkpoints.same_vocabulary import require_same_vocabulary
from qaudit.errors import Incomparable, InputError, MalformedFile

TOKENS = ["a", "b", "ab", "<|end|>", "[PAD4]", "[PAD5]"]
TYPES = [1, 1, 1, 3, 5, 5]
SPEC: dict[str, Any] = {
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
    "added_tokens": [{"id": 3, "content": "<|end|>"}],
}
CONFIG = {
    "hidden_size": 32, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2, "sliding_window": 4,
}  # fmt: skip


def check(
    folder: Path,
    tokens: list[str] | None = None,
    types: list[int] | None = None,
    spec: Any = None,
    *,
    merges: list[str] | None = None,
    model: str = "gpt2",
    vocabulary: int = 6,
    model_type: str = "llama",
    rows: int | None = None,
) -> None:
    """Compare the tokens of a GGUF with a tokenizer.json; both are in order where nothing else is given."""
    tokens = TOKENS if tokens is None else tokens
    pairs: list[Any] = [
        ("general.architecture", STRING, "llama"),
        ("tokenizer.ggml.model", STRING, model),
        ("tokenizer.ggml.tokens", ARRAY, strings(tokens)),
        ("tokenizer.ggml.token_type", ARRAY, (I32, TYPES if types is None else types)),
        ("tokenizer.ggml.merges", ARRAY, strings(["a b"] if merges is None else merges)),
    ]
    held = [Tensor.full("token_embd.weight", (32, len(tokens) if rows is None else rows))]
    gguf = GgufCheckpoint(GgufBuilder(pairs=pairs, tensors=held).write(folder / "m.gguf"))
    config = {"model_type": model_type, "vocab_size": vocabulary, **CONFIG}
    hf = write_folder(folder / "hf", {"model.norm.weight": stored(np.ones(4, np.float16))}, config)
    (hf / "tokenizer.json").write_text(
        spec if isinstance(spec, str) else json.dumps(SPEC if spec is None else spec)
    )
    require_same_vocabulary(gguf, HfCheckpoint(hf), read_sizes(config))


def pieces(*texts: str) -> dict[str, Any]:
    return {"model": {"type": "Unigram", "vocab": [[text, -1.0] for text in texts]}}


def test_the_same(tmp_path: Path) -> None:
    check(tmp_path)
    # merges as pairs; one has a space inside, which byte-level BPE writes as another letter
    spec = {**SPEC, "model": {**SPEC["model"], "merges": [["a", "b"], [" ", "b"]]}}
    check(tmp_path, spec=spec, merges=["a b", "\u0120 b"])


def test_padding(tmp_path: Path) -> None:
    check(tmp_path, [*TOKENS[:4], "anything", "[PAD5]"], [1, 1, 1, 3, 5, 1])
    # padding of the embeddings of either
    check(tmp_path, vocabulary=64)
    check(tmp_path, vocabulary=4)
    with pytest.raises(Incomparable, match="token 4 is 'c', in the reference it is none"):
        check(tmp_path, [*TOKENS[:4], "c", "[PAD5]"], [1] * 6)
    with pytest.raises(Incomparable, match=r"token 4 is '\[PAD5\]', in the reference it is none"):
        check(tmp_path, [*TOKENS[:4], "[PAD5]", "[PAD5]"], [1] * 6)


def test_another_order(tmp_path: Path) -> None:
    with pytest.raises(Incomparable, match="token 0 is 'b', in the reference it is 'a'"):
        check(tmp_path, ["b", "a", *TOKENS[2:]])
    with pytest.raises(Incomparable, match=r"token 3 is '<\|stop\|>', in the reference it is '<\|end\|>'"):
        check(tmp_path, [*TOKENS[:3], "<|stop|>", *TOKENS[4:]])


def test_ends_that_differ(tmp_path: Path) -> None:
    with pytest.raises(Incomparable, match="ends after 3 tokens, the reference goes on to 3"):
        check(tmp_path, TOKENS[:3], TYPES[:3])
    # Gemma 3 without its images lacks tokens that were added, but never trained ones
    check(tmp_path, TOKENS[:3], TYPES[:3], model_type="gemma3_text")
    with pytest.raises(Incomparable, match="ends after 2 tokens"):
        check(tmp_path, TOKENS[:2], TYPES[:2], model_type="gemma3_text")
    # the reference has no row for it either
    check(tmp_path, TOKENS[:3], TYPES[:3], vocabulary=3)
    with pytest.raises(Incomparable, match="has embeddings for token 3, the reference has 3"):
        check(tmp_path, vocabulary=3)


def test_sentencepiece_writes_spaces_and_bytes_in_two_ways(tmp_path: Path) -> None:
    spec = pieces("\u2581the", "\u2581\u2581", "\t", "<0xE2>")
    theirs = ["\u2581the", "  ", "<0x09>", "<0xE2>"]
    check(tmp_path, theirs, [1, 4, 6, 6], spec, model="llama", vocabulary=4)
    with pytest.raises(Incomparable, match="token 1 is '  ', in the reference it is "):
        check(tmp_path, theirs, [1, 4, 6, 6], spec, model="gpt2", vocabulary=4)
    with pytest.raises(Incomparable, match="token 3 is '<0xE3>'"):
        check(tmp_path, [*theirs[:3], "<0xE3>"], [1] * 4, spec, model="llama", vocabulary=4)


def test_merges(tmp_path: Path) -> None:
    with pytest.raises(Incomparable, match="2 merges, the reference's tokenizer has 1"):
        check(tmp_path, merges=["a b", "b a"])
    with pytest.raises(Incomparable, match="merge 0 is 'b a', the reference has 'a b'"):
        check(tmp_path, merges=["b a"])
    check(tmp_path, merges=["b a"], model="llama")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("[]", "not a JSON object"),
        ("{", "tokenizer.json: "),
        ({}, "has no model"),
        ({"model": {"vocab": None}}, "the model has no vocab"),
        ({"model": {"vocab": {"a": -1}}}, "token 'a' has id -1"),
        ({"model": {"vocab": {"a": 1 << 40}}}, "token 'a' has id 1099511627776"),
        ({"model": {"vocab": {"a": True}}}, "token 'a' has id True"),
        ({"model": {"vocab": {"a": 0, "b": 0}}}, "id 0 has two tokens"),
        ({"model": {"vocab": [["a", 1], ["b"]]}}, "entry 1 of the vocabulary is not a piece"),
        ({**SPEC, "added_tokens": [{"id": 3}]}, "added_tokens is not a list of tokens"),
        ({**SPEC, "added_tokens": {"id": 3}}, "added_tokens is not a list of tokens"),
        (
            {"model": {**SPEC["model"], "merges": 3}, "added_tokens": SPEC["added_tokens"]},
            "the model has no merges",
        ),
    ],
)
def test_tokenizers_that_are_none(tmp_path: Path, spec: Any, message: str) -> None:
    with pytest.raises(MalformedFile, match=message):
        check(tmp_path, spec=spec)


def test_tokens_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match="6 tokens for 5 rows of embeddings"):
        check(tmp_path, rows=5)
    bare = GgufCheckpoint(
        GgufBuilder(tensors=[Tensor.full("token_embd.weight", (32, 6))]).write(tmp_path / "n.gguf")
    )
    config = {"model_type": "llama", "vocab_size": 6, **CONFIG}
    with pytest.raises(MalformedFile, match=r"tokenizer\.ggml\.tokens is not a list of texts"):
        require_same_vocabulary(bare, HfCheckpoint(tmp_path / "hf"), read_sizes(config))


def test_a_reference_without_tokenizer(tmp_path: Path) -> None:
    check(tmp_path)
    (tmp_path / "hf" / "tokenizer.json").unlink()
    config = {"model_type": "llama", "vocab_size": 6, **CONFIG}
    with pytest.raises(Incomparable, match=r"has no tokenizer\.json to compare tokens with"):
        require_same_vocabulary(
            GgufCheckpoint(tmp_path / "m.gguf"), HfCheckpoint(tmp_path / "hf"), read_sizes(config)
        )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "id", "content"]), inner)
    ),
    max_leaves=6,
)


@given(vocab=JSON, merges=JSON, added=JSON)
@settings(max_examples=30, deadline=None)
def test_any_json_is_refused_or_the_same(tmp_path: Path, vocab: Any, merges: Any, added: Any) -> None:
    spec = {"model": {"vocab": vocab, "merges": merges}, "added_tokens": added}
    try:
        check(tmp_path, spec=spec)
    except InputError:
        return
    assert isinstance(vocab, dict | list)
