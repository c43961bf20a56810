from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from attacks.gguf_builder import STRING, U32, GgufBuilder, Tensor
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.errors import InputError
from qaudit.files import sha256_file


def built(path: Path, builder: GgufBuilder) -> GgufCheckpoint:
    path.write_bytes(builder.build())
    return GgufCheckpoint(path)


def test_identity_of_a_lab_member(member: Callable[[str], Path]) -> None:
    path = member("Q4_K_M")
    info = GgufCheckpoint(path).info
    assert (info.format, info.quantization, info.architecture) == ("gguf", "Q4_K_M", "llama")
    assert info.sha256 == sha256_file(path) == info.files[0].sha256
    assert info.files[0].size == path.stat().st_size
    assert info.bits_per_weight is not None
    assert 4 < info.bits_per_weight < 7


@pytest.mark.parametrize("name", ["F16", "Q8_0", "Q2_K", "IQ4_XS"])
def test_rows_are_gguf_pys(member: Callable[[str], Path], name: str) -> None:
    checkpoint = GgufCheckpoint(member(name))
    for tensor in gguf.GGUFReader(str(member(name))).tensors[:8]:
        module = tensor.name.removesuffix(".weight")
        expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        rows = checkpoint.rows(module)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, expected.reshape(checkpoint.shape(module)))
        np.testing.assert_array_equal(checkpoint.rows(module, 0, 1), rows[:1])


def test_types_and_names(q8: Path) -> None:
    checkpoint = GgufCheckpoint(q8)
    assert "blk.0.attn_q" in checkpoint.names()
    assert checkpoint.types()["blk.0.attn_q"] == "Q8_0"
    assert checkpoint.rows("blk.0.attn_q", 3, 3).shape == (0, 256)


def test_rows_out_of_range(q8: Path) -> None:
    checkpoint = GgufCheckpoint(q8)
    with pytest.raises(InputError, match="has 256 rows, not 0 to 257"):
        checkpoint.rows("blk.0.attn_q", 0, 257)
    with pytest.raises(InputError, match="no module 'nothing'"):
        checkpoint.rows("nothing")


def test_a_quantization_is_named_by_its_tensors_when_nothing_is_declared(tmp_path: Path) -> None:
    assert built(tmp_path / "a.gguf", GgufBuilder()).quantization == "F32"
    lying = GgufBuilder(pairs=[("general.file_type", U32, 9999)])
    assert built(tmp_path / "b.gguf", lying).quantization == "F32"
    assert built(tmp_path / "c.gguf", GgufBuilder(tensors=[])).quantization == "none"


def test_metadata_of_the_wrong_type_is_not_believed(tmp_path: Path) -> None:
    pairs = [("general.architecture", U32, 1), ("tokenizer.chat_template", U32, 1), ("tokenizer.ggml.bos_token_id", STRING, "x")]
    checkpoint = built(tmp_path / "a.gguf", GgufBuilder(pairs=pairs))
    assert checkpoint.architecture == "unknown"
    assert checkpoint.chat_template is None
    assert checkpoint.special_tokens == {}


def test_tokenizer_digest_sees_every_key(tmp_path: Path, f16: Path, q8: Path) -> None:
    assert GgufCheckpoint(f16).tokenizer_digest == GgufCheckpoint(q8).tokenizer_digest
    plain = built(tmp_path / "a.gguf", GgufBuilder())
    other = built(tmp_path / "b.gguf", GgufBuilder(pairs=[("tokenizer.ggml.pre", STRING, "llama-bpe")]))
    assert plain.tokenizer_digest != other.tokenizer_digest


def test_special_tokens_of_the_lab(f16: Path) -> None:
    tokens = GgufCheckpoint(f16).special_tokens
    assert tokens["bos_token"] == "<|bos|>"
    assert tokens["eos_token"] == "<|end|>"


def test_weights_without_the_suffix_keep_their_name(tmp_path: Path) -> None:
    builder = GgufBuilder(tensors=[Tensor(name="rope_freqs.weight"), Tensor(name="blk.0.attn_q.bias")])
    assert built(tmp_path / "a.gguf", builder).names() == ["rope_freqs", "blk.0.attn_q.bias"]
