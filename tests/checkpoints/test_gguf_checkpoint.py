import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from attacks.gguf_builder import (
    ARRAY,
    BOOL,
    F32,
    I32,
    STRING,
    U32,
    GgufBuilder,
    Tensor,
    small_model,
    split_pairs,
    strings,
)  # fmt: skip

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.errors import InputError, MalformedFile
from qaudit.files import sha256_bytes, sha256_file


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
    pairs = [
        ("general.architecture", U32, 1),
        ("tokenizer.chat_template", U32, 1),
        ("tokenizer.ggml.bos_token_id", STRING, "x"),
    ]
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


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 1), (0, 4), (4, 4), (1 << 70, 1 << 71)])
def test_impossible_ranges(tmp_path: Path, start: int, stop: int) -> None:
    checkpoint = built(tmp_path / "a.gguf", small_model())
    with pytest.raises(InputError, match=f"blk.0.attn_q has 3 rows, not {start} to {stop}"):
        checkpoint.rows("blk.0.attn_q", start, stop)


def test_too_many_rows_at_once_are_refused_before_they_are_read(tmp_path: Path) -> None:
    # a sparse file: 8 GiB decoded, nothing on disk
    tensor = Tensor(shape=(32, 1 << 26), type=8, data=b"")
    path = GgufBuilder(tensors=[tensor]).write(tmp_path / "a.gguf")
    os.truncate(path, 1 << 32)
    checkpoint = GgufCheckpoint(path)
    with pytest.raises(InputError, match="more than 2 GiB of rows at once; ask for fewer"):
        checkpoint.rows("blk.0.attn_q")
    assert checkpoint.rows("blk.0.attn_q", (1 << 26) - 2).tolist() == [[0.0] * 32] * 2


def test_a_block_of_a_tensor_with_more_dimensions(tmp_path: Path) -> None:
    experts = Tensor.full("blk.0.ffn_up_exps.weight", (8, 3, 2))
    checkpoint = built(tmp_path / "a.gguf", GgufBuilder(tensors=[experts]))
    assert checkpoint.shape("blk.0.ffn_up_exps") == (6, 8)
    whole = np.frombuffer(experts.data, "<f4").reshape(6, 8)
    np.testing.assert_array_equal(checkpoint.rows("blk.0.ffn_up_exps", 2, 5), whole[2:5])


def test_a_vector_is_one_row(tmp_path: Path) -> None:
    checkpoint = built(tmp_path / "a.gguf", small_model())
    assert checkpoint.shape("output_norm") == (1, 33)
    assert checkpoint.rows("output_norm").shape == (1, 33)


@pytest.mark.parametrize("order", [1, -1])
def test_no_tensor_hides_another(tmp_path: Path, order: int) -> None:
    names = ["a.weight", "a", "a.weight.weight", "b.weight"][::order]
    tensors = [Tensor.full(name, (4, number + 1)) for number, name in enumerate(names)]
    checkpoint = built(tmp_path / "a.gguf", GgufBuilder(tensors=tensors))
    assert sorted(checkpoint.names()) == ["a", "a.weight", "a.weight.weight", "b"]
    assert checkpoint.parameters == 4 * (1 + 2 + 3 + 4)
    assert checkpoint.shape("a") == (names.index("a") + 1, 4)


def test_measured_bits_do_not_believe_the_claim(tmp_path: Path) -> None:
    pairs = [("general.file_type", U32, 1)]
    weights = Tensor.full("blk.0.attn_q.weight", (32, 8), 2)
    info = built(tmp_path / "a.gguf", GgufBuilder(pairs=pairs, tensors=[weights])).info
    assert (info.quantization, info.bits_per_weight, info.parameters) == ("F16", 4.5, 256)


@pytest.mark.parametrize(
    ("kind", "content"),
    [(BOOL, True), (F32, 1.0), (STRING, "1"), (ARRAY, (I32, [1])), (I32, -1), (U32, 1 << 31)],
)
def test_odd_claims_of_a_file_type_fall_back_to_the_tensors(tmp_path: Path, kind: int, content: Any) -> None:
    pairs = [("general.file_type", kind, content)]
    assert built(tmp_path / "a.gguf", GgufBuilder(pairs=pairs)).quantization == "F32"


def test_special_tokens_of_odd_ids_are_left_out(tmp_path: Path) -> None:
    pairs = [
        ("tokenizer.ggml.tokens", ARRAY, strings(["<s>", "</s>"])),
        ("tokenizer.ggml.bos_token_id", BOOL, True),
        ("tokenizer.ggml.eos_token_id", U32, 1),
        ("tokenizer.ggml.unknown_token_id", U32, 2),
        ("tokenizer.ggml.padding_token_id", I32, -1),
    ]
    assert built(tmp_path / "a.gguf", GgufBuilder(pairs=pairs)).special_tokens == {"eos_token": "</s>"}
    pairs[0] = ("tokenizer.ggml.tokens", ARRAY, (U32, [1, 2]))
    assert built(tmp_path / "b.gguf", GgufBuilder(pairs=pairs)).special_tokens == {}


@pytest.mark.parametrize(
    ("key", "text", "why"),
    [
        # llama.cpp would see "{{ safe }}", others all of it
        ("tokenizer.chat_template", "{{ safe }}\0{{ other }}", "tokenizer.chat_template holds a NUL"),
        ("tokenizer.chat_template.tool_use", "a\0b", "holds a NUL"),
        ("general.architecture", "llama\0x", "general.architecture holds a NUL"),
        ("general.architecture", "llama\x1b[2J", "general.architecture is not printable text"),
        ("general.architecture", b"llama\xff", "general.architecture is not UTF-8 text"),
        ("tokenizer.chat_template", b"{{ \xed\xa0\x80 }}", "tokenizer.chat_template is not UTF-8 text"),
    ],
)
def test_text_that_programs_would_read_differently_is_refused(
    tmp_path: Path, key: str, text: str | bytes, why: str
) -> None:
    with pytest.raises(MalformedFile, match=why) as caught:
        built(tmp_path / "a.gguf", GgufBuilder(pairs=[(key, STRING, text)]))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("token", ["<s>\0", b"<\xff>"])
def test_special_tokens_that_programs_would_read_differently(tmp_path: Path, token: str | bytes) -> None:
    pairs = [
        ("tokenizer.ggml.tokens", ARRAY, strings([token, "b"])),
        ("tokenizer.ggml.bos_token_id", U32, 0),
    ]
    with pytest.raises(MalformedFile, match=r"bos_token (holds a NUL|is not UTF-8)"):
        built(tmp_path / "a.gguf", GgufBuilder(pairs=pairs))
    # an ordinary token may be any bytes
    pairs[1] = ("tokenizer.ggml.bos_token_id", U32, 1)
    assert built(tmp_path / "b.gguf", GgufBuilder(pairs=pairs)).special_tokens == {"bos_token": "b"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (strings(["a", "bc"]), strings(["ab", "c"])),
        (strings(["1:a"]), strings(["a"])),
        (strings([b"\xff"]), strings(["\u00ff"])),
        ((I32, [1, 2]), (I32, [2, 1])),
    ],
)
def test_tokenizers_that_differ_have_other_digests(tmp_path: Path, first: Any, second: Any) -> None:
    digests = [
        built(
            tmp_path / "a.gguf", GgufBuilder(pairs=[("tokenizer.ggml.tokens", ARRAY, tokens)])
        ).tokenizer_digest
        for tokens in (first, second)
    ]
    assert digests[0] != digests[1]


def test_the_template_is_not_part_of_the_tokenizer(tmp_path: Path) -> None:
    plain = small_model()
    other = small_model()
    other.pairs[-1] = ("tokenizer.chat_template", STRING, "another")
    assert (
        built(tmp_path / "a.gguf", plain).tokenizer_digest
        == built(tmp_path / "b.gguf", other).tokenizer_digest
    )


def halves(folder: Path) -> list[Path]:
    paths = [folder / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for number, path in enumerate(paths):
        pairs = [*split_pairs(number, 2, 2), ("general.architecture", STRING, f"arch{number}")]
        GgufBuilder(pairs=pairs, tensors=[Tensor.full(f"blk.{number}.attn_q.weight", (4, 2 + number))]).write(
            path
        )
    return paths


def test_a_split_set_is_one_checkpoint(tmp_path: Path) -> None:
    first, second = halves(tmp_path)
    checkpoint = GgufCheckpoint(second)
    # llama.cpp loads a set by its first file, and takes the metadata from there
    assert checkpoint.path == first
    assert checkpoint.architecture == "arch0"
    assert checkpoint.names() == ["blk.0.attn_q", "blk.1.attn_q"]
    assert checkpoint.parameters == 4 * 2 + 4 * 3
    info = checkpoint.info
    assert [f.path for f in info.files] == [first.name, second.name]
    lines = "".join(f"{sha256_file(p)} {p.stat().st_size} {p.name}\n" for p in (first, second))
    assert info.sha256 == sha256_bytes(lines.encode())
    expected = Tensor.full("blk.1.attn_q.weight", (4, 3)).data
    assert checkpoint.rows("blk.1.attn_q").tobytes() == expected


def swap(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"x")


def rewrite(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(0, 0))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 40)


@pytest.mark.parametrize("change", [swap, grow, rewrite, cut])
def test_a_file_that_changes_after_it_was_opened(tmp_path: Path, change: Callable[[Path], None]) -> None:
    first, second = halves(tmp_path)
    checkpoint = GgufCheckpoint(first)
    checkpoint.require_unchanged()
    change(second)
    message = r"m-00002-of-00002\.gguf: changed since it was opened"
    with pytest.raises(InputError, match=message):
        checkpoint.rows("blk.1.attn_q")
    with pytest.raises(InputError, match=message):
        _ = checkpoint.info
    with pytest.raises(InputError, match=message):
        checkpoint.require_unchanged()


def test_a_file_that_goes_away_or_becomes_a_pipe(tmp_path: Path) -> None:
    path = small_model().write(tmp_path / "a.gguf")
    checkpoint = GgufCheckpoint(path)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        checkpoint.rows("output_norm")
    with pytest.raises(InputError, match="cannot be read"):
        checkpoint.require_unchanged()
    os.mkfifo(path)
    with pytest.raises(InputError, match="is not a regular file"):
        checkpoint.rows("output_norm")
