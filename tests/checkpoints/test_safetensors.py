"""Files of the safetensors library read back; files that lie refused, whatever their bytes are."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from checkpoints.by_hand import framed, safetensors_bytes, stored
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qaudit.checkpoints.safetensors import (
    MAX_HEADER,
    MAX_NAME,
    MAX_TENSORS,
    SafetensorsFile,
    read_safetensors,
)
from qaudit.errors import InputError, LimitExceeded, MalformedFile

GOOD = safetensors_bytes(
    {
        "b.weight": stored(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "a": stored(np.array([1, -2], np.int8)),
        "empty": stored(np.empty((0, 5), np.float16)),
        "scalar": stored(np.array(7, np.int64)),
    },
    {"format": "pt"},
)


def entry(dtype: object = "U8", shape: object = (4,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def refused(tmp_path: Path, raw: bytes) -> MalformedFile:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(raw)
    with pytest.raises(MalformedFile) as caught:
        read_safetensors(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    assert len(message) < 800
    return caught.value


def test_what_the_library_writes_is_read_back(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    kinds = [np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_]
    tensors = {
        f"layer.{i}.{np.dtype(kind).name}": generator.integers(0, 2, (3, i + 1, 2)).astype(kind)
        for i, kind in enumerate(kinds)
    }
    tensors["scalar"] = np.array(3.5, np.float32)
    tensors["empty"] = np.zeros((0, 4), np.float32)
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file(tensors, path, metadata={"format": "np", "note": "ä"})
    file = read_safetensors(path)
    assert file.metadata == {"format": "np", "note": "ä"}
    assert file.size == path.stat().st_size
    assert file.tensors.keys() == tensors.keys()
    for name, array in tensors.items():
        tensor = file.tensors[name]
        assert (tensor.name, tensor.shape, tensor.elements) == (name, array.shape, array.size)
        assert tensor.size == array.nbytes
        values = file.read(tensor).array()
        assert values.shape == array.shape
        assert values.tobytes() == array.tobytes()


def test_what_torch_writes_is_read_back(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    values = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    tensors = {
        "bf16": values.to(torch.bfloat16),
        "e4m3": values.to(torch.float8_e4m3fn),
        "e5m2": values.to(torch.float8_e5m2),
        "f16": values.half(),
    }
    save_file(tensors, tmp_path / "x.safetensors")
    file = read_safetensors(tmp_path / "x.safetensors")
    assert {t.name: t.dtype for t in file.tensors.values()} == {
        "bf16": "BF16", "e4m3": "F8_E4M3", "e5m2": "F8_E5M2", "f16": "F16",
    }  # fmt: skip
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(file.read(file.tensors[name]).floats(), tensor.float().numpy())


def test_rows_of_the_first_dimension(tmp_path: Path) -> None:
    array = np.arange(5 * 2 * 3, dtype=np.int16).reshape(5, 2, 3)
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_bytes({"pad": stored(np.zeros(3, np.uint8)), "a": stored(array)}))
    file = read_safetensors(path)
    for start, stop in [(0, None), (0, 5), (1, 3), (2, None), (4, 5), (5, 5), (2, 2)]:
        part = file.read(file.tensors["a"], start, stop)
        np.testing.assert_array_equal(part.array(), array[start:stop])
        assert part.shape == array[start:stop].shape


def test_a_good_file_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(GOOD)
    file = read_safetensors(path)
    assert list(file.tensors) == ["b.weight", "a", "empty", "scalar"]
    assert file.read(file.tensors["scalar"]).array() == 7
    assert file.read(file.tensors["empty"]).array().shape == (0, 5)
    np.testing.assert_array_equal(file.read(file.tensors["a"]).array(), [1, -2])


def test_no_tensors_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(framed({}))
    assert read_safetensors(path).tensors == {}
    assert read_safetensors(path).metadata == {}


def test_padding_after_the_header(tmp_path: Path) -> None:
    # the library pads the header with spaces so that the data is aligned
    raw = json.dumps({"a": entry()}).encode() + b"     "
    path = tmp_path / "x.safetensors"
    path.write_bytes(framed(raw, bytes(4)))
    assert read_safetensors(path).tensors["a"].offset == 8 + len(raw)


def test_order_in_the_header_is_not_order_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(framed({"late": entry(offsets=[4, 8]), "early": entry(offsets=[0, 4])}, b"aaaabbbb"))
    file = read_safetensors(path)
    assert file.read(file.tensors["late"]).data == b"bbbb"
    assert file.read(file.tensors["early"]).data == b"aaaa"


LYING = [
    ("no bytes", b"", "0 bytes are too few"),
    ("seven bytes", b"\x02\0\0\0\0\0\0", "7 bytes are too few"),
    ("header over the file", struct.pack("<Q", 100) + b"{}", "truncated: a header of 100 bytes, 2 left"),
    ("header one over", struct.pack("<Q", 3) + b"{}", "truncated: a header of 3 bytes, 2 left"),
    ("no header", struct.pack("<Q", 0), r"does not begin with '\{'"),
    ("pickle", b"\x80\x02\x8a\x0a\0\0\0\0" + bytes(10), "a header of "),
    ("an array", framed([]), r"does not begin with '\{'"),
    ("a space first", framed(b" {}"), r"does not begin with '\{'"),
    ("not JSON", framed(b"{nonsense"), "header: not JSON.* at byte 1"),
    ("two objects", framed(b"{}{}"), "header: not JSON"),
    ("not UTF-8", framed(b'{"\xff": 1}'), "header: not UTF-8 at byte 2"),
    ("null bytes", framed(b"{}\0\0"), "header: not JSON"),
    ("nested", framed(b'{"a":' * 100_000), "header: nested too deeply"),
    ("a number of many digits", framed(b'{"a":' + b"9" * 5000 + b"}"), "header: "),
    ("not a number", framed(b'{"a": NaN}'), "header: NaN"),
    ("duplicate names", framed(b'{"a": 1, "a": 2}'), "the key 'a' appears twice"),
    (
        "duplicate keys",
        framed(b'{"a": {"dtype": "U8", "dtype": "I8", "shape": [4], "data_offsets": [0, 4]}}', bytes(4)),
        "the key 'dtype' appears twice",
    ),
    ("metadata list", framed({"__metadata__": []}), "__metadata__ is not an object of strings"),
    ("metadata number", framed({"__metadata__": {"a": 1}}), "__metadata__ is not an object of strings"),
    ("metadata null", framed({"__metadata__": None}), "__metadata__ is not"),
    ("entry list", framed({"a": [1]}, bytes(4)), "tensor 'a': not dtype, shape and data_offsets"),
    ("entry null", framed({"a": None}), "tensor 'a': not dtype"),
    ("key missing", framed({"a": {"dtype": "U8", "shape": [4]}}), "tensor 'a': not dtype, shape"),
    ("key too many", framed({"a": {**entry(), "x": 1}}, bytes(4)), "tensor 'a': not dtype, shape"),
    ("unknown dtype", framed({"a": entry("Q4")}, bytes(4)), "tensor 'a': unknown dtype 'Q4'"),
    ("long dtype", framed({"a": entry("Q" * 99_999)}, bytes(4)), "tensor 'a': unknown dtype"),
    ("dtype number", framed({"a": entry(8)}, bytes(4)), "tensor 'a': unknown dtype 8"),
    ("dtype list", framed({"a": entry(["U8"])}, bytes(4)), "tensor 'a': unknown dtype"),
    ("lower case", framed({"a": entry("u8")}, bytes(4)), "tensor 'a': unknown dtype"),
    ("shape text", framed({"a": entry(shape="4")}, bytes(4)), "tensor 'a': a shape that is none"),
    ("shape negative", framed({"a": entry(shape=[-2, -2])}, bytes(4)), "tensor 'a': a shape that is none"),
    ("shape fraction", framed({"a": entry(shape=[4.0])}, bytes(4)), "tensor 'a': a shape that is none"),
    ("shape true", framed({"a": entry(shape=[True, 4])}, bytes(4)), "tensor 'a': a shape that is none"),
    ("shape huge", framed({"a": entry(shape=[1 << 63])}, bytes(4)), "tensor 'a': a shape that is none"),
    ("nine dimensions", framed({"a": entry(shape=[1] * 8 + [4])}, bytes(4)), "tensor 'a': a shape that is"),
    (
        "eight huge dimensions",
        framed({"a": entry(shape=[(1 << 63) - 1] * 8)}, bytes(4)),
        "tensor 'a': 4 bytes for U8 of .* needed",
    ),
    # 2**32 * 2**32 is 0 in 64 bits
    ("wraps to 0", framed({"a": entry(shape=[1 << 32, 1 << 32], offsets=[0, 0])}), "tensor 'a': 0 bytes for"),
    ("offsets text", framed({"a": entry(offsets="04")}, bytes(4)), "tensor 'a': data_offsets that are none"),
    ("offsets one", framed({"a": entry(offsets=[4])}, bytes(4)), "tensor 'a': data_offsets that are none"),
    ("offsets three", framed({"a": entry(offsets=[0, 4, 4])}, bytes(4)), "data_offsets that are none"),
    ("offsets negative", framed({"a": entry(offsets=[-4, 0])}, bytes(4)), "data_offsets that are none"),
    ("offsets backwards", framed({"a": entry(offsets=[4, 0])}, bytes(4)), "data_offsets that are none"),
    ("offsets huge", framed({"a": entry(offsets=[1 << 63, (1 << 63) + 4])}), "data_offsets that are none"),
    ("too small", framed({"a": entry(shape=[5])}, bytes(4)), "tensor 'a': 4 bytes for U8 of .*, 5 needed"),
    ("too large", framed({"a": entry("F32", [2])}, bytes(4)), "tensor 'a': 4 bytes for F32 of .*, 8 needed"),
    ("part of a byte", framed({"a": entry("F4", [3], [0, 2])}, bytes(2)), "1.5 needed"),
    ("truncated", framed({"a": entry()}, bytes(3)), "truncated: tensor 'a' ends at byte"),
    (
        "far away",
        framed({"a": entry(offsets=[1 << 62, (1 << 62) + 4])}, bytes(4)),
        "tensor 'a' leaves a hole before it, at byte",
    ),
    ("trailing", framed({"a": entry()}, bytes(7)), "3 bytes after the last tensor belong to nothing"),
    ("only data", framed({}, bytes(7)), "7 bytes after the last tensor"),
    (
        "a hole first",
        framed({"a": entry(offsets=[1, 5])}, bytes(5)),
        "tensor 'a' leaves a hole before it, at byte",
    ),
    (
        "a hole between",
        framed({"a": entry(), "b": entry(offsets=[5, 9])}, bytes(9)),
        "tensor 'b' leaves a hole",
    ),
    (
        "overlapping",
        framed({"a": entry(), "b": entry(offsets=[3, 7])}, bytes(7)),
        "tensor 'b' overlaps the one before, at byte",
    ),
    ("the same bytes", framed({"a": entry(), "b": entry()}, bytes(4)), "tensor 'b' overlaps the one before"),
    ("no name", framed({"": entry()}, bytes(4)), "'' is not a tensor's name"),
    ("line break", framed({"a\nb": entry()}, bytes(4)), r"'a\\nb' is not a tensor's name"),
    ("escape", framed({"\x1b[2J": entry()}, bytes(4)), "is not a tensor's name"),
    ("half a pair", framed(b'{"\\ud800": {}}'), "is not a tensor's name"),
    ("a long name", framed({"n" * (MAX_NAME + 1): entry()}, bytes(4)), "is not a tensor's name"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "why"), [case[1:] for case in LYING], ids=[case[0] for case in LYING])
def test_a_file_that_lies(tmp_path: Path, raw: bytes, why: str) -> None:
    error = refused(tmp_path, raw)
    with pytest.raises(MalformedFile, match=why):
        raise error


def test_a_git_lfs_pointer_says_what_to_do(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n"
    error = refused(tmp_path, pointer)
    assert str(error).endswith("a Git LFS pointer, not the weights; run: git lfs pull")


def test_a_header_over_the_cap_is_never_read(tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(struct.pack("<Q", MAX_HEADER + 1) + b"{}")
    os.truncate(path, MAX_HEADER + 100)  # sparse: nothing of it is on disk
    with pytest.raises(LimitExceeded, match=f"a header of {MAX_HEADER + 1} bytes, more than {MAX_HEADER}"):
        read_safetensors(path)
    path.write_bytes(b"\xff" * 8 + b"{}")
    with pytest.raises(LimitExceeded, match="more than"):
        read_safetensors(path)


def test_too_many_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_TENSORS == 1_000_000
    monkeypatch.setattr("qaudit.checkpoints.safetensors.MAX_TENSORS", 3)
    assert isinstance(refused(tmp_path, framed({f"t{i}": {} for i in range(4)})), LimitExceeded)


# what two JSON parsers may read differently, and what no honest writer does
STRICTER = {
    "a space first", "not a number", "duplicate names", "duplicate keys", "metadata null", "key too many",
    "no name", "line break", "escape", "a long name", "nine dimensions",
}  # fmt: skip


@pytest.mark.parametrize(
    "raw", [pytest.param(raw, id=name) for name, raw, _ in LYING if name not in STRICTER]
)
def test_the_library_too_refuses_it(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(raw)
    with pytest.raises((safetensors.SafetensorError, OverflowError)), safetensors.safe_open(path, "np"):
        pass


def test_not_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "missing", "."):
        with pytest.raises(InputError):
            read_safetensors(tmp_path / name)


def test_changed_after_parsing(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(GOOD)
    file = read_safetensors(path)
    path.write_bytes(GOOD[:-1])
    with pytest.raises(InputError, match="changed since it was opened"):
        file.read(file.tensors["a"])


def read_everything(path: Path) -> SafetensorsFile | None:
    """Parse and read all of a file; anything but an InputError is a bug."""
    try:
        file = read_safetensors(path)
        for tensor in file.tensors.values():
            assert len(file.read(tensor).data) == tensor.size <= file.size
            if tensor.shape:
                file.read(tensor, 0, tensor.shape[0] // 2)
    except InputError:
        return None
    # whatever was accepted accounts for every byte of the file
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    assert header + sum(t.size for t in file.tensors.values()) == file.size
    return file


ANY_FILE = settings(max_examples=300, deadline=None)


@ANY_FILE
@given(raw=st.binary(max_size=200))
@example(b"{" * 20)
def test_any_bytes_parse_or_are_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "any.safetensors"
    path.write_bytes(raw)
    read_everything(path)
    path.write_bytes(framed(raw))
    read_everything(path)
    path.write_bytes(framed(b"{" + raw))
    read_everything(path)


def test_any_single_byte_changed(tmp_path: Path) -> None:
    path = tmp_path / "any.safetensors"
    survivors = 0
    for place in range(len(GOOD)):
        for flip in (0x01, 0x10, 0x80, 0xFF):
            path.write_bytes(GOOD[:place] + bytes([GOOD[place] ^ flip]) + GOOD[place + 1 :])
            survivors += read_everything(path) is not None
    # a change of the data or of a name is for digests to find
    assert 0 < survivors < len(GOOD) * 2


@ANY_FILE
@given(place=st.integers(0, len(GOOD) - 1), value=st.integers(0, 255), cut=st.integers(0, len(GOOD)))
def test_any_byte_changed_and_any_end_cut_off(tmp_path: Path, place: int, value: int, cut: int) -> None:
    path = tmp_path / "any.safetensors"
    path.write_bytes(GOOD[:place] + bytes([value]) + GOOD[place + 1 :])
    read_everything(path)
    path.write_bytes(GOOD[:cut])
    assert (read_everything(path) is None) == (cut < len(GOOD))


WHOLE = st.one_of(st.integers(-3, 12), st.integers(), st.sampled_from([1 << 31, 1 << 62, 1 << 63, 1 << 64]))
HEADERS = st.dictionaries(
    st.text(max_size=4),
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["U8", "F32", "BF16", "F4", "F6_E2M3", "X", ""]),
            "shape": st.lists(WHOLE, max_size=9),
            "data_offsets": st.lists(WHOLE, min_size=1, max_size=3),
        }
    ),
    max_size=3,
)


@ANY_FILE
@given(header=HEADERS, data=st.binary(max_size=24))
def test_any_numbers_in_the_header(tmp_path: Path, header: object, data: bytes) -> None:
    path = tmp_path / "any.safetensors"
    path.write_bytes(framed(header, data))
    read_everything(path)
