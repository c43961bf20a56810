import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from attacks.gguf_builder import ARRAY, BOOL, F32, I32, STRING, U16, U32, GgufBuilder, Tensor, string
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qaudit.checkpoints.gguf import MAX_TENSORS, read_gguf, read_split, shard_paths
from qaudit.errors import InputError, LimitExceeded, MalformedFile

FAST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(folder: Path, data: bytes, name: str = "x.gguf") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_valid_file_reads(tmp_path: Path) -> None:
    builder = GgufBuilder(pairs=[("general.architecture", STRING, "llama"), ("a.list", ARRAY, (I32, [1, 2])), ("a.flag", BOOL, True)])
    file = read_gguf(write(tmp_path, builder.build()))
    assert file.metadata["general.architecture"] == "llama"
    assert file.metadata["a.list"].tolist() == [1, 2]
    assert file.metadata["a.flag"] is True
    (tensor,) = file.tensors
    assert (tensor.name, tensor.shape, tensor.elements, tensor.size) == ("blk.0.attn_q.weight", (32, 2), 64, 256)
    assert tensor.offset == file.data_start
    assert tensor.offset % 32 == 0


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_read(tmp_path: Path, version: int) -> None:
    assert read_gguf(write(tmp_path, GgufBuilder(version=version).build())).version == version


def test_what_gguf_py_writes_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "w.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_token_list(["a", "b\u00e9"])
    writer.add_array("numbers", [1.5, 2.5])
    for name, shape in (("token_embd.weight", (3, 64)), ("output_norm.weight", (64,))):
        writer.add_tensor(name, np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ours, theirs = read_gguf(path), gguf.GGUFReader(str(path))
    assert ours.metadata["tokenizer.ggml.tokens"] == ["a", "b\u00e9"]
    assert [(t.name, t.offset, t.size) for t in ours.tensors] == [(t.name, t.data_offset, t.n_bytes) for t in theirs.tensors]


HUGE = 1 << 62
LIES = {
    "magic": (GgufBuilder(magic=b"GGML"), "not a GGUF file"),
    "version 1": (GgufBuilder(version=1), "version 1"),
    "version 4": (GgufBuilder(version=4), "version 4"),
    "big endian": (GgufBuilder(version=0x03000000), "big-endian"),
    "tensor count": (GgufBuilder(tensor_count=HUGE), "tensor count"),
    "pair count": (GgufBuilder(pair_count=HUGE), "metadata count"),
    "one pair too many": (GgufBuilder(pair_count=2), "truncated|printable|unknown|length"),
    "empty key": (GgufBuilder(pairs=[("", STRING, "x")]), "key at byte"),
    "NUL in key": (GgufBuilder(pairs=[("a\0b", STRING, "x")]), "key at byte"),
    "key twice": (GgufBuilder(pairs=[("a", U32, 1), ("a", U32, 2)]), "there twice"),
    "string length": (GgufBuilder(pairs=[], raw_pairs=string("a") + struct.pack("<IQ", 8, HUGE), pair_count=1), "string"),
    "array length": (
        GgufBuilder(pairs=[], raw_pairs=string("a") + struct.pack("<IIQ", 9, 4, 1 << 40), pair_count=1), "array",
    ),
    "array of arrays": (
        GgufBuilder(pairs=[], raw_pairs=string("a") + struct.pack("<IIQ", 9, 9, 1), pair_count=1), "array of arrays",
    ),
    "value type": (GgufBuilder(pairs=[], raw_pairs=string("a") + struct.pack("<I", 77), pair_count=1), "metadata type 77"),
    "array type": (GgufBuilder(pairs=[], raw_pairs=string("a") + struct.pack("<IIQ", 9, 77, 1), pair_count=1), "array type 77"),
    "bool of 2": (GgufBuilder(pairs=[], raw_pairs=string("a") + struct.pack("<IB", 7, 2), pair_count=1), "neither 0 nor 1"),
    "alignment 3": (GgufBuilder(pairs=[("general.alignment", U32, 3)]), "power of two"),
    "alignment 0": (GgufBuilder(pairs=[("general.alignment", U32, 0)]), "power of two"),
    "alignment text": (GgufBuilder(pairs=[("general.alignment", STRING, "32")]), "power of two"),
    "alignment huge": (GgufBuilder(pairs=[("general.alignment", U32, 1 << 30)]), "power of two"),
    "tensor name long": (GgufBuilder(tensors=[Tensor(name="n" * 64)]), "tensor name"),
    "tensor name NUL": (GgufBuilder(tensors=[Tensor(name="a\0b")]), "not printable"),
    "tensor name bytes": (GgufBuilder(tensors=[Tensor(name=b"\xff\xfe")]), "not printable"),
    "tensor name empty": (GgufBuilder(tensors=[Tensor(name="")]), "empty"),
    "tensor twice": (GgufBuilder(tensors=[Tensor(), Tensor()]), "there twice"),
    "no dimensions": (GgufBuilder(tensors=[Tensor(shape=())]), "dimensions"),
    "five dimensions": (GgufBuilder(tensors=[Tensor(shape=(32, 1, 1, 1, 1))]), "dimensions"),
    "zero dimension": (GgufBuilder(tensors=[Tensor(shape=(32, 0))]), "impossible dimensions"),
    "overflow": (GgufBuilder(tensors=[Tensor(shape=(1 << 32, 1 << 32))]), "impossible dimensions"),
    "wrapping overflow": (GgufBuilder(tensors=[Tensor(shape=(1 << 33, 1 << 31))]), "impossible dimensions"),
    "type unknown": (GgufBuilder(tensors=[Tensor(type=200)]), "unknown type 200"),
    "type removed": (GgufBuilder(tensors=[Tensor(type=4)]), "unknown type 4"),
    "broken block": (GgufBuilder(tensors=[Tensor(shape=(33, 1), type=2)]), "whole blocks"),
    "past the end": (GgufBuilder(tensors=[Tensor(shape=(4096, 4096))]), "truncated"),
    "offset": (GgufBuilder(tensors=[Tensor(offset=64)]), "starts at 64, not at 0"),
    "offset huge": (GgufBuilder(tensors=[Tensor(offset=(1 << 64) - 32)]), "starts at"),
    "overlap": (GgufBuilder(tensors=[Tensor(), Tensor(name="b", offset=0)]), "starts at 0, not at 256"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_each_lie_is_refused_in_one_line_without_allocating_for_it(tmp_path: Path, name: str) -> None:
    builder, message = LIES[name]
    path = write(tmp_path, builder.build())
    tracemalloc.start()
    with pytest.raises(MalformedFile, match=message) as caught:
        read_gguf(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 4 << 20


def test_counts_over_the_cap_are_a_limit(tmp_path: Path) -> None:
    # enough bytes for the claim, so that only the cap stands in the way
    data = GgufBuilder(pairs=[], tensors=[], tensor_count=MAX_TENSORS + 1).build() + b"\0" * (33 * (MAX_TENSORS + 2))
    with pytest.raises(LimitExceeded, match="over the cap"):
        read_gguf(write(tmp_path, data))


@FAST
@given(data=st.binary(max_size=400))
def test_any_bytes_are_a_file_or_an_input_error(tmp_path: Path, data: bytes) -> None:
    path = write(tmp_path, b"GGUF\3\0\0\0" + data)
    try:
        read_gguf(path)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017


@FAST
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_any_changed_byte_is_a_file_or_an_input_error(tmp_path: Path, place: int, byte: int) -> None:
    builder = GgufBuilder(
        pairs=[("general.architecture", STRING, "llama"), ("t", ARRAY, (STRING, ["a", "bc"])), ("f", ARRAY, (F32, [1.0]))],
        tensors=[Tensor(), Tensor(name="b", shape=(64,), type=2, data=b"\1" * 36)],
    )
    data = bytearray(builder.build())
    data[place % len(data)] = byte
    try:
        read_gguf(write(tmp_path, bytes(data)))
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017


@given(length=st.integers(0, 1000))
@FAST
def test_every_cut_is_noticed(tmp_path: Path, length: int) -> None:
    data = GgufBuilder().build()
    path = write(tmp_path, data[: length % len(data)])
    with pytest.raises(InputError):
        read_gguf(path)


def shard(number: int, count: int, total: int | None = None) -> bytes:
    pairs = [("split.no", U16, number), ("split.count", U16, count)]
    if total is not None:
        pairs.append(("split.tensors.count", I32, total))
    return GgufBuilder(pairs=pairs, tensors=[Tensor(name=f"blk.{number}.attn_q.weight")]).build()


def split(folder: Path, shards: list[bytes]) -> Path:
    for number, data in enumerate(shards, start=1):
        write(folder, data, f"m-{number:05d}-of-{len(shards):05d}.gguf")
    return folder / f"m-00001-of-{len(shards):05d}.gguf"


def test_a_split_set_reads_from_any_of_its_files(tmp_path: Path) -> None:
    first = split(tmp_path, [shard(0, 2, 2), shard(1, 2)])
    for path in shard_paths(first):
        assert [f.tensors[0].name for f in read_split(path)] == ["blk.0.attn_q.weight", "blk.1.attn_q.weight"]


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        ([shard(0, 3, 2), shard(1, 3)], "split.count is 3, found 2"),
        ([shard(0, 2, 2), shard(0, 2)], "is not shard 2 of 2"),
        ([shard(0, 2, 5), shard(1, 2)], "split.tensors.count is 5, the shards hold 2"),
    ],
)
def test_shards_that_do_not_belong_together(tmp_path: Path, shards: list[bytes], message: str) -> None:
    with pytest.raises(MalformedFile, match=message):
        read_split(split(tmp_path, shards))


def test_a_missing_shard_and_an_impossible_name(tmp_path: Path) -> None:
    first = split(tmp_path, [shard(0, 2, 2), shard(1, 2)])
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(MalformedFile, match="this shard of a split set is missing"):
        read_split(first)
    with pytest.raises(MalformedFile, match="claims shard 9 of 2"):
        shard_paths(tmp_path / "m-00009-of-00002.gguf")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_gguf(tmp_path / "none.gguf")
    with pytest.raises(InputError, match="cannot be read"):
        read_gguf(tmp_path)
