"""The header reader: what is honest reads, every lie is refused in one line and without allocating for it."""

import os
import struct
import tracemalloc
from pathlib import Path

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
    U64,
    GgufBuilder,
    Tensor,
    small_model,
    string,
    strings,
)  # fmt: skip
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.checkpoints import gguf_cursor
from qaudit.checkpoints.gguf import MAX_METADATA, MAX_TENSORS, GgufFile, read_gguf
from qaudit.errors import InputError, LimitExceeded, MalformedFile

FAST = settings(max_examples=200, deadline=None)
PEAK = 4 << 20
HUGE = 1 << 62


def write(folder: Path, data: bytes, name: str = "x.gguf") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read_or_refuse(path: Path) -> GgufFile | InputError:
    """Read, holding the reader to its promises: one kind of error, one line, little memory."""
    tracemalloc.start()
    try:
        return read_gguf(path)
    except InputError as error:
        message = str(error)
        assert "\n" not in message
        assert message.startswith(f"{path}: ")
        assert "; " in message
        return error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < PEAK, f"{peak} bytes for a file of {path.stat().st_size}"


def test_an_honest_file_reads(tmp_path: Path) -> None:
    file = read_gguf(small_model().write(tmp_path / "x.gguf"))
    assert (file.version, file.alignment, len(file.metadata)) == (3, 32, 21)
    assert file.metadata["general.architecture"] == "llama"
    assert file.metadata["lab.numbers"].tolist() == [1, -2, 3]
    assert file.metadata["lab.flag"] is True
    assert file.metadata["lab.negative"] == -(1 << 40)
    assert file.metadata["tokenizer.ggml.tokens"] == ["<s>", "</s>", "a", "é"]
    assert [(t.name, t.shape, t.type.name, t.elements, t.size) for t in file.tensors] == [
        ("token_embd.weight", (32, 4), "F32", 128, 512),
        ("blk.0.attn_q.weight", (64, 3), "Q8_0", 192, 204),
        ("output_norm.weight", (33,), "F32", 33, 132),
    ]
    assert file.data_start % 32 == 0
    # 204 bytes are padded to 224
    assert [t.offset - file.data_start for t in file.tensors] == [0, 512, 736]


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_read(tmp_path: Path, version: int) -> None:
    assert read_gguf(write(tmp_path, GgufBuilder(version=version).build())).version == version


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096, 1 << 20])
def test_every_alignment_places_tensors_where_gguf_py_does(tmp_path: Path, alignment: int) -> None:
    made = small_model()
    made.pairs.append(("general.alignment", U32, alignment))
    made.alignment = alignment
    path = made.write(tmp_path / "x.gguf")
    theirs = gguf.GGUFReader(str(path)).tensors
    assert [(t.name, t.offset) for t in read_gguf(path).tensors] == [(t.name, t.data_offset) for t in theirs]


def test_no_tensors_and_no_metadata_are_fine(tmp_path: Path) -> None:
    file = read_gguf(write(tmp_path, GgufBuilder(pairs=[], tensors=[]).build()[:24]))
    assert (file.tensors, file.metadata) == ((), {})


@settings(max_examples=25, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=4),
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=90),
    numbers=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=5),
    flag=st.booleans(),
)
def test_what_gguf_py_writes_reads_the_same(
    tmp_path: Path, shapes: list[list[int]], words: list[str], numbers: list[float], flag: bool
) -> None:
    path = tmp_path / "w.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_token_list(words)
    writer.add_array("lab.numbers", numbers)
    writer.add_bool("lab.flag", flag)
    writer.add_string("lab.text", f"={words[0]}")
    for number, shape in enumerate(shapes):
        writer.add_tensor(f"t{number}.weight", np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ours, theirs = read_gguf(path), gguf.GGUFReader(str(path))
    assert ours.metadata["tokenizer.ggml.tokens"] == words
    assert ours.metadata["lab.numbers"].tolist() == numbers
    assert (ours.metadata["lab.flag"], ours.metadata["lab.text"]) == (flag, f"={words[0]}")
    assert [(t.name, t.shape, t.offset, t.size) for t in ours.tensors] == [
        (t.name, tuple(int(d) for d in t.shape), t.data_offset, t.n_bytes) for t in theirs.tensors
    ]


def lying_pair(body: bytes) -> GgufBuilder:
    return GgufBuilder(pairs=[], raw_pairs=string("a") + body, pair_count=1)


LIES = {
    "magic": (GgufBuilder(magic=b"GGML"), "not a GGUF file"),
    "a zip": (GgufBuilder(magic=b"PK\3\4"), "a zip archive"),
    "before GGUF": (GgufBuilder(magic=b"tjgg"), "before GGUF"),
    "version 0": (GgufBuilder(version=0), "version 0"),
    "version 1": (GgufBuilder(version=1), "version 1"),
    "version 4": (GgufBuilder(version=4), "version 4"),
    "big endian": (GgufBuilder(version=0x03000000), "big-endian"),
    "tensor count": (GgufBuilder(tensor_count=HUGE), "tensor count"),
    # times 33, the smallest entry, it wraps to 1 in 64 bits
    "wrapping tensor count": (GgufBuilder(tensor_count=pow(33, -1, 1 << 64)), "tensor count"),
    "pair count": (GgufBuilder(pair_count=HUGE), "metadata count"),
    "negative pair count": (GgufBuilder(pair_count=(1 << 64) - 1), "metadata count"),
    "one pair too many": (GgufBuilder(pair_count=2), "truncated|printable|unknown|length"),
    "one tensor too many": (GgufBuilder(tensor_count=2), "truncated|printable|length|dimensions"),
    "empty key": (GgufBuilder(pairs=[("", STRING, "x")]), "key at byte"),
    "NUL in key": (GgufBuilder(pairs=[("a\0b", STRING, "x")]), "key at byte"),
    "line break after key": (GgufBuilder(pairs=[("general.architecture\n", STRING, "x")]), "key at byte"),
    "key twice": (GgufBuilder(pairs=[("a", U32, 1), ("a", U32, 2)]), "there twice"),
    "long key twice": (GgufBuilder(pairs=[("a" * 60_000, U32, 1)] * 2), "there twice"),
    "string length": (lying_pair(struct.pack("<IQ", 8, HUGE)), "length of a string"),
    "array length": (lying_pair(struct.pack("<IIQ", 9, 4, 1 << 40)), "length of an array"),
    "wrapping array length": (lying_pair(struct.pack("<IIQ", 9, 10, 1 << 61)), "length of an array"),
    "string array length": (lying_pair(struct.pack("<IIQ", 9, 8, 1 << 40)), "length of an array"),
    "array of arrays": (lying_pair(struct.pack("<IIQ", 9, 9, 1)), "array of arrays"),
    "value type": (lying_pair(struct.pack("<I", 77)), "metadata type 77"),
    "array type": (lying_pair(struct.pack("<IIQ", 9, 77, 1)), "array type 77"),
    "bool of 2": (lying_pair(struct.pack("<IB", 7, 2)), "neither 0 nor 1"),
    "alignment 3": (GgufBuilder(pairs=[("general.alignment", U32, 3)]), "power of two"),
    "alignment 0": (GgufBuilder(pairs=[("general.alignment", U32, 0)]), "power of two"),
    "alignment huge": (GgufBuilder(pairs=[("general.alignment", U32, 1 << 30)]), "power of two"),
    "alignment text": (GgufBuilder(pairs=[("general.alignment", STRING, "32")]), "is of type 8"),
    # llama.cpp ends itself on a number of another width
    "alignment wide": (GgufBuilder(pairs=[("general.alignment", U64, 32)]), "is of type 10"),
    "alignment bool": (GgufBuilder(pairs=[("general.alignment", BOOL, True)]), "is of type 7"),
    "alignment array": (GgufBuilder(pairs=[("general.alignment", ARRAY, (I32, [32]))]), "is of type 9"),
    "tensor name of 64": (GgufBuilder(tensors=[Tensor(name="n" * 64)]), "length of a tensor name"),
    "tensor name length": (GgufBuilder(tensors=[Tensor(name_length=HUGE)]), "length of a tensor name"),
    "tensor name NUL": (GgufBuilder(tensors=[Tensor(name="a\0b")]), "not printable"),
    "tensor name escape": (GgufBuilder(tensors=[Tensor(name="a\x1b[2J")]), "not printable"),
    "tensor name bidi": (GgufBuilder(tensors=[Tensor(name="a\u202eb")]), "not printable"),
    "tensor name bytes": (GgufBuilder(tensors=[Tensor(name=b"\xff\xfe")]), "not printable"),
    "tensor name empty": (GgufBuilder(tensors=[Tensor(name="")]), "empty"),
    "tensor twice": (GgufBuilder(tensors=[Tensor(), Tensor()]), "there twice"),
    "no dimensions": (GgufBuilder(tensors=[Tensor(shape=())]), "0 dimensions"),
    "five dimensions": (GgufBuilder(tensors=[Tensor(shape=(32, 1, 1, 1, 1))]), "5 dimensions"),
    "4 thousand million dimensions": (GgufBuilder(tensors=[Tensor(dimensions=0xFFFFFFFF)]), "dimensions"),
    "zero dimension": (GgufBuilder(tensors=[Tensor(shape=(32, 0))]), "impossible dimensions"),
    "negative dimension": (GgufBuilder(tensors=[Tensor(shape=((1 << 64) - 32, 1))]), "impossible dimensions"),
    "product of 0 in 64 bits": (GgufBuilder(tensors=[Tensor(shape=(1 << 32, 1 << 32))]), "impossible"),
    "product of 64 in 64 bits": (
        GgufBuilder(tensors=[Tensor(shape=(64, (1 << 58) + 1, 1))]), "impossible dimensions",
    ),
    "bytes that wrap": (GgufBuilder(tensors=[Tensor(shape=(1 << 62, 1))]), "truncated"),
    "type unknown": (GgufBuilder(tensors=[Tensor(type=200)]), "unknown type 200"),
    "type removed": (GgufBuilder(tensors=[Tensor(type=4)]), "unknown type 4"),
    "type that is not for files": (GgufBuilder(tensors=[Tensor(type=9)]), "Q8_1, which is not for files"),
    "broken block": (GgufBuilder(tensors=[Tensor(shape=(33, 1), type=2)]), "whole blocks"),
    "past the end": (GgufBuilder(tensors=[Tensor(shape=(4096, 4096))]), "truncated"),
    "one block past the end": (
        GgufBuilder(tensors=[Tensor(shape=(64, 1), type=8, data=bytes(34))]), "truncated",
    ),
    "offset": (GgufBuilder(tensors=[Tensor(offset=64)]), "starts at 64, not at 0"),
    "offset not aligned": (GgufBuilder(tensors=[Tensor(), Tensor("b", offset=257)]), "starts at 257, not at"),
    "offset huge": (GgufBuilder(tensors=[Tensor(offset=(1 << 64) - 32)]), "starts at"),
    "overlap": (GgufBuilder(tensors=[Tensor(), Tensor(name="b", offset=0)]), "starts at 0, not at 256"),
    "gap": (GgufBuilder(tensors=[Tensor(), Tensor(name="b", offset=288)]), "starts at 288, not at 256"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_each_lie_is_refused_in_one_line_without_allocating_for_it(tmp_path: Path, name: str) -> None:
    builder, message = LIES[name]
    error = read_or_refuse(builder.write(tmp_path / "x.gguf"))
    assert isinstance(error, MalformedFile)
    assert message in str(error) or any(part in str(error) for part in message.split("|"))
    assert len(str(error)) < 500


def test_things_people_download_by_mistake(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
    with pytest.raises(MalformedFile, match="a Git LFS pointer, not the weights; run: git lfs pull"):
        read_gguf(write(tmp_path, pointer))
    for short in (b"", b"G", b"GGU"):
        with pytest.raises(MalformedFile, match="not a GGUF file"):
            read_gguf(write(tmp_path, short))


@pytest.mark.parametrize(
    ("builder", "size"),
    [
        (GgufBuilder(pairs=[], tensors=[], tensor_count=MAX_TENSORS + 1), 33 * (MAX_TENSORS + 2)),
        (GgufBuilder(pairs=[], tensors=[], pair_count=MAX_METADATA + 1), 15 * (MAX_METADATA + 2)),
        (lying_pair(struct.pack("<IQ", 8, gguf_cursor.MAX_STRING + 1)), gguf_cursor.MAX_STRING + 100),
        (lying_pair(struct.pack("<IIQ", 9, 8, gguf_cursor.MAX_ARRAY + 1)), gguf_cursor.MAX_ARRAY * 9),
        (lying_pair(struct.pack("<IIQ", 9, 0, gguf_cursor.MAX_ARRAY + 1)), gguf_cursor.MAX_ARRAY * 2),
    ],
)
def test_counts_over_the_cap_are_a_limit(tmp_path: Path, builder: GgufBuilder, size: int) -> None:
    # enough bytes (a hole in a sparse file) for the claim, so that only the cap stands in the way
    path = builder.write(tmp_path / "x.gguf")
    os.truncate(path, size)
    error = read_or_refuse(path)
    assert isinstance(error, LimitExceeded)
    assert "over the cap" in str(error)


def test_a_sparse_file_full_of_empty_entries_is_read_in_little_memory(tmp_path: Path) -> None:
    # zeros: an empty key where the first pair should be
    path = write(tmp_path, GgufBuilder(pairs=[], tensors=[], pair_count=MAX_METADATA).build())
    os.truncate(path, 1 << 34)
    assert "key at byte 24 is empty" in str(read_or_refuse(path))


@FAST
@given(data=st.binary(max_size=400))
def test_any_bytes_are_a_file_or_an_input_error(tmp_path: Path, data: bytes) -> None:
    read_or_refuse(write(tmp_path, data))
    read_or_refuse(write(tmp_path, b"GGUF\3\0\0\0" + data))


@FAST
@given(
    counts=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    data=st.lists(
        st.one_of(
            st.binary(max_size=12),
            st.text(st.characters(codec="utf-8"), max_size=5).map(string),
            st.integers(0, 20).map(lambda n: struct.pack("<I", n)),
            st.integers(0, 70).map(lambda n: struct.pack("<Q", n)),
            st.sampled_from([1 << 31, 1 << 32, 1 << 61, 1 << 63, (1 << 64) - 1]).map(
                lambda n: struct.pack("<Q", n)
            ),
        ),
        max_size=30,
    ),
)
def test_any_run_of_fields_is_a_file_or_an_input_error(
    tmp_path: Path, counts: tuple[int, int], data: list[bytes]
) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, *counts)
    read_or_refuse(write(tmp_path, head + b"".join(data)))


@FAST
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_any_changed_byte_is_a_file_or_an_input_error(tmp_path: Path, place: int, byte: int) -> None:
    data = bytearray(small_model().build())
    data[place % len(data)] = byte
    read_or_refuse(write(tmp_path, bytes(data)))


@FAST
@given(
    place=st.integers(0, 10_000),
    cut=st.integers(0, 24),
    put=st.one_of(st.binary(max_size=24), st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7])),
)
def test_any_cut_or_inserted_piece_is_a_file_or_an_input_error(
    tmp_path: Path, place: int, cut: int, put: bytes
) -> None:
    data = small_model().build()
    place %= len(data)
    read_or_refuse(write(tmp_path, data[:place] + put + data[place + cut :]))


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    made = small_model()
    data = made.build()
    # the padding after the last tensor is not needed
    needed = len(data) - (-len(made.tensors[-1].data) % 32)
    path = write(tmp_path, data[:needed])
    assert len(read_gguf(path).tensors) == 3
    for length in reversed(range(needed)):
        os.truncate(path, length)
        with pytest.raises(MalformedFile):
            read_gguf(path)


def test_text_that_is_not_utf8_survives(tmp_path: Path) -> None:
    pairs = [("a", STRING, b"\xff\xfe"), ("b", ARRAY, strings([b"\x80", "ok"])), ("c", ARRAY, (F32, [1.0]))]
    metadata = read_gguf(write(tmp_path, GgufBuilder(pairs=pairs).build())).metadata
    assert metadata["a"].encode("utf-8", errors="surrogateescape") == b"\xff\xfe"
    assert metadata["b"] == ["\udc80", "ok"]


def test_what_is_no_file_at_all(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, why in (
        (tmp_path / "none.gguf", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (Path("/dev/zero"), "is not a regular file"),
        # a plain open would wait here for ever
        (tmp_path / "pipe", "is not a regular file"),
        (tmp_path / "a\0b", "null"),
        (tmp_path / ("n" * 300), "File name too long"),
    ):
        with pytest.raises(InputError, match=why) as caught:
            read_gguf(path)
        assert not isinstance(caught.value, MalformedFile)
