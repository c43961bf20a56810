from collections.abc import Callable, Iterator
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from hypothesis import given
from hypothesis import strategies as st

from qaudit.engines import llamacpp
from qaudit.engines.llamacpp import LlamaModel
from qaudit.engines.protocol import EngineOptions
from qaudit.errors import EngineFailure

OPTIONS = EngineOptions(threads=1, parallel=3, judge=None)
TEXTS = [
    "how do i plant a tree",
    "",
    " two  spaces ",
    "Ünïcode ✓ 漢字",
    "<|user|>hi<|end|><|assistant|>",
    "a\nb\t\0c",
]


@pytest.fixture(scope="module")
def model(f16: Path) -> Iterator[LlamaModel]:
    opened = LlamaModel(f16, OPTIONS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def peer(f16: Path) -> Iterator[llama_cpp.Llama]:
    opened = llama_cpp.Llama(str(f16), vocab_only=True, verbose=False)
    yield opened
    opened.close()


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_are_those_of_the_plain_llama_class(
    model: LlamaModel, peer: llama_cpp.Llama, text: str
) -> None:
    assert model.tokenize(text) == peer.tokenize(text.encode(), add_bos=True, special=True)
    assert model.tokenize_continuation(text) == peer.tokenize(text.encode(), add_bos=False, special=False)


@given(text=st.text(max_size=60))
def test_any_text_has_tokens_that_spell_it(model: LlamaModel, text: str) -> None:
    tokens = model.tokenize_continuation(text)
    assert all(0 <= token < model.vocabulary for token in tokens)
    assert len(tokens) <= len(text.encode()) + 8


@pytest.mark.parametrize("adds", [True, False])
def test_bos_is_never_doubled(f16: Path, tmp_path: Path, adds: bool) -> None:
    path = with_bos_flag(f16, tmp_path / "bos.gguf", adds)
    model, peer = LlamaModel(path, OPTIONS), llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    bos = peer.token_bos()
    plain = model.tokenize("hi there")
    assert plain == peer.tokenize(b"hi there", add_bos=True, special=True)
    assert plain.count(bos) == adds
    once = model.tokenize("<|bos|>hi there")
    assert once.count(bos) == 1
    assert once[0] == bos
    # who writes it twice means it
    assert model.tokenize("<|bos|><|bos|>hi").count(bos) == 2
    model.close()
    peer.close()


def test_pieces_are_bytes_and_special_tokens_are_spelled(model: LlamaModel) -> None:
    for text in ("how do i plant a tree", "<|user|>how<|end|>"):
        spelled = b"".join(model.piece(token) for token in model.tokenize(f"<|bos|>{text}"))
        assert spelled.decode().replace("<|bos|>", "") == text
    everything = [model.piece(token) for token in range(model.vocabulary)]
    assert sum(not piece for piece in everything) <= 1
    assert model.is_end(model.tokenize("<|end|>")[-1])
    assert not model.is_end(model.tokenize("how")[-1])


def test_context_grows_with_need_and_never_shrinks(f16: Path) -> None:
    model = LlamaModel(f16, OPTIONS)
    sizes = []
    for tokens in (0, 1, 256, 257, 100, 0):
        model.reserve(tokens)
        sizes.append(model.context_per_sequence)
    assert sizes == [0, 256, 256, 512, 512, 512]
    assert llama_cpp.llama_n_ctx(model._context) >= 512 * (OPTIONS.parallel + 1)
    model.close()
    model.close()


def test_context_is_no_longer_than_asked_or_trained(model: LlamaModel, f16: Path) -> None:
    trained = llama_cpp.llama_model_n_ctx_train(model._model)
    assert model.context_limit == min(4096, trained)
    short = LlamaModel(f16, EngineOptions(threads=1, context_per_sequence=100, judge=None))
    assert short.context_limit == 100
    short.close()


def test_after_a_reserve_that_fails_the_next_one_works(f16: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LlamaModel(f16, OPTIONS)
    model.reserve(10)
    start = llama_cpp.llama_init_from_model
    monkeypatch.setattr(llama_cpp, "llama_init_from_model", lambda *_: None)
    with pytest.raises(EngineFailure, match=r"no memory for 4 sequences of 512 tokens.*lower --parallel"):
        model.reserve(300)
    with pytest.raises(EngineFailure, match="no memory for 4 sequences of 256 tokens"):
        model.reserve(10)
    model.clear()
    monkeypatch.setattr(llama_cpp, "llama_init_from_model", start)
    model.reserve(10)
    model.add([1, 2], 0, 1, logits="last")
    assert model.decode().shape == (1, model.vocabulary)
    model.close()


def test_more_sequences_than_llamacpp_has_are_refused(f16: Path) -> None:
    model = LlamaModel(f16, EngineOptions(threads=1, parallel=100_000, judge=None))
    with pytest.raises(EngineFailure, match="lower --parallel") as failure:
        model.reserve(10)
    assert "n_seq_max" in str(failure.value)
    model.close()


def test_logits_come_in_the_order_of_adding(model: LlamaModel) -> None:
    tokens = model.tokenize("how do i plant a tree")
    model.reserve(64)
    model.clear()
    model.add(tokens, 0, 1, logits="all")
    everything = model.decode().copy()
    assert everything.shape == (len(tokens), model.vocabulary)
    model.clear()
    model.add(tokens[:3], 0, 2, logits="last")
    model.add(tokens[:2], 0, 1, logits="none")
    model.add(tokens, 0, 3, logits="last")
    assert model.room == llamacpp.BATCH_TOKENS - 5 - len(tokens)
    some = model.decode()
    assert model.room == llamacpp.BATCH_TOKENS
    # the same sums in another order: a few units in the last place of float32
    np.testing.assert_allclose(some, everything[[2, -1]], atol=1e-3)
    model.add(tokens[2:4], 2, 1, logits="none")
    assert model.decode().shape == (0, model.vocabulary)


def test_a_copied_sequence_goes_on_like_its_source(model: LlamaModel) -> None:
    tokens = model.tokenize("how do i plant a tree")
    model.reserve(64)
    model.clear()
    model.add(tokens[:-1], 0, 0, logits="none")
    model.decode()
    model.copy(0, 3)
    rows = []
    for sequence in (0, 3):
        model.add(tokens[-1:], len(tokens) - 1, sequence, logits="last")
        rows.append(model.decode()[0].copy())
    np.testing.assert_array_equal(*rows)
    model.forget(3)
    model.add(tokens[:1], 0, 3, logits="last")
    assert not np.allclose(model.decode()[0], rows[0])


def test_what_llamacpp_cannot_decode_is_an_engine_failure(model: LlamaModel) -> None:
    model.reserve(64)
    model.clear()
    model.add([model.vocabulary + 5], 0, 1, logits="last")
    with pytest.raises(EngineFailure, match="llama_decode failed with -1"):
        model.decode()
    model.add([1], 0, 1, logits="last")
    assert np.isfinite(model.decode()).all()
    with pytest.raises(ValueError, match="broadcast"):
        model.add([1] * (llamacpp.BATCH_TOKENS + 1), 0, 1, logits="none")


def test_info_says_what_ran(model: LlamaModel) -> None:
    assert (model.info.name, model.info.device, model.info.threads) == ("llama.cpp", "cpu", 1)
    assert "llama-cpp-python 0." in model.info.version
    assert model.info.build.isprintable()


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def garbled(data: bytes) -> bytes:
    return b"GGUF" + bytes(range(256)) * 20


@pytest.mark.parametrize(
    "spoil", [cut, garbled, lambda data: b"", lambda data: b"GGUF\3\0\0\0" + b"\xff" * 16]
)
def test_a_refused_file_is_one_line(f16: Path, tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(spoil(f16.read_bytes()))
    with pytest.raises(EngineFailure) as failure:
        LlamaModel(path, OPTIONS)
    assert str(failure.value).startswith(f"{path}: llama.cpp does not load it (")
    assert "no reason given" not in str(failure.value)
    assert str(failure.value).isprintable()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EngineFailure, match=r"none\.gguf: llama\.cpp does not load it"):
        LlamaModel(tmp_path / "none.gguf", OPTIONS)


def test_names_out_of_the_file_cannot_drive_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    writer = GGUFWriter(str(path), "odd\n\x1b[2J" + "x" * 2000)
    writer.add_context_length(8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(EngineFailure) as failure:
        LlamaModel(path, OPTIONS)
    raw = failure.value.args[0]
    assert raw.isprintable()
    assert "odd [2J" in raw
    assert len(raw) < 1200


def test_a_piece_longer_than_most_is_whole(f16: Path, tmp_path: Path) -> None:
    path, token, piece = with_long_token(f16, tmp_path / "long.gguf")
    model = LlamaModel(path, OPTIONS)
    assert model.piece(token) == piece
    model.close()


def with_bos_flag(source: Path, target: Path, adds: bool) -> Path:
    data = bytearray(source.read_bytes())
    key = b"tokenizer.ggml.add_bos_token"
    # a key is followed by its type, 7 for a truth value, in four bytes
    place = data.index(key) + len(key)
    assert data[place : place + 4] == b"\7\0\0\0"
    data[place + 4] = adds
    target.write_bytes(data)
    return target


def with_long_token(source: Path, target: Path) -> tuple[Path, int, bytes]:
    """Copy a checkpoint with its longest token grown by 20 times the alignment of its tensors."""
    data = source.read_bytes()
    tokens = GGUFReader(source).fields["tokenizer.ggml.tokens"]
    names = [bytes(tokens.parts[part]) for part in tokens.data]
    token = max(range(len(names)), key=lambda i: len(names[i]) * names[i].isalpha())
    old = len(names[token]).to_bytes(8, "little") + names[token]
    piece = names[token] + b"q" * 640
    place = data.index(old)
    target.write_bytes(data[:place] + len(piece).to_bytes(8, "little") + piece + data[place + len(old) :])
    return target, token, piece
