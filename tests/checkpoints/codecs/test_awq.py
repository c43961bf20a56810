"""AWQ against AutoAWQ's own bytes and decoder, and against a packer that goes one code at a time."""

from pathlib import Path

import numpy as np
import pytest
from checkpoints.by_hand import Stored, module_of, stored
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from qaudit.checkpoints.codecs.awq import AwqGemm, AwqGemv
from qaudit.errors import MalformedFile

GOLDEN = Path(__file__).parent / "golden"
NATURAL = (0, 1, 2, 3, 4, 5, 6, 7)
GEMM_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def packed(codes: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Eight neighbours of the last dimension in a word; nibble i holds the one of place order[i]."""
    rows, columns = codes.shape
    words = np.zeros((rows, columns // 8), np.uint32)
    for row in range(rows):
        for column in range(columns // 8):
            for nibble in range(8):
                code = int(codes[row, column * 8 + order[nibble]])
                words[row, column] |= np.uint32(code << (4 * nibble))
    return words.view(np.int32)


class Matrix:
    def __init__(self, outputs: int, inputs: int, group: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.group = inputs if group == -1 else group
        groups = inputs // self.group
        self.codes = generator.integers(0, 16, (outputs, inputs))
        self.zeros = generator.integers(0, 16, (outputs, groups))
        self.scales = generator.standard_normal((outputs, groups)).astype(np.float16)

    def gemm(self) -> dict[str, Stored]:
        return {
            "qweight": stored(packed(self.codes.T, GEMM_ORDER)),
            "qzeros": stored(packed(self.zeros.T, GEMM_ORDER)),
            "scales": stored(np.ascontiguousarray(self.scales.T)),
        }

    def gemv(self, room: int) -> dict[str, Stored]:
        """`room` words of zeros for each output, what is not used filled with noise."""
        outputs, groups = self.zeros.shape
        zeros = np.random.default_rng(1).integers(0, 16, (outputs, room * 8))
        zeros[:, :groups] = self.zeros
        scales = np.full((outputs, room * 8), np.nan, np.float16)
        scales[:, :groups] = self.scales
        return {
            "qweight": stored(packed(self.codes, NATURAL)),
            "qzeros": stored(packed(zeros, NATURAL)),
            "scales": stored(scales),
        }

    def rows(self) -> np.ndarray:
        rows = np.empty(self.codes.shape, np.float32)
        for output, i in np.ndindex(*self.codes.shape):
            group = i // self.group
            difference = np.float32(self.codes[output, i] - self.zeros[output, group])
            rows[output, i] = difference * np.float32(self.scales[output, group])
        return rows


def decoded(codec: AwqGemm | AwqGemv, path: Path, parts: dict[str, Stored]) -> np.ndarray:
    """All rows, after checking that every slice of them is the same."""
    module = module_of(path, parts)
    outputs, inputs = codec.shape(module)
    whole = codec.rows(module, 0, outputs)
    assert whole.dtype == np.float32
    assert whole.shape == (outputs, inputs)
    for start in range(min(outputs, 9)):
        for stop in (start + 1, start + 3, outputs):
            part = codec.rows(module, start, min(stop, outputs))
            np.testing.assert_array_equal(part, whole[start:stop])
    return whole


@pytest.mark.parametrize("layout", ["gemm", "gemv"])
@pytest.mark.parametrize(("name", "group"), [("32x128", 32), ("32x64", 64)])
def test_autoawqs_own_bytes(tmp_path: Path, name: str, group: int, layout: str) -> None:
    golden = load_file(GOLDEN / f"awq_{name}.safetensors")
    codec = AwqGemm(group) if layout == "gemm" else AwqGemv(group)
    parts = {part: stored(golden[f"{layout}.{part}"]) for part in ("qweight", "qzeros", "scales")}
    rows = decoded(codec, tmp_path / "x", parts)
    np.testing.assert_array_equal(rows.view(np.uint32), golden["decoded"].view(np.uint32))


@settings(max_examples=40, deadline=None)
@given(
    outputs=st.integers(1, 4),
    groups=st.integers(1, 4),
    group=st.sampled_from([1, 4, 8, 24, -1]),
    seed=st.integers(0, 1 << 32),
)
def test_any_gemm(tmp_path: Path, outputs: int, groups: int, group: int, seed: int) -> None:
    inputs = groups * group if group > 0 else 7 * groups
    matrix = Matrix(outputs * 8, inputs, group, seed)
    rows = decoded(AwqGemm(group), tmp_path / "x", matrix.gemm())
    np.testing.assert_array_equal(rows, matrix.rows())


@settings(max_examples=40, deadline=None)
@given(
    outputs=st.integers(1, 20),
    units=st.integers(1, 4),
    group=st.sampled_from([8, 16, 24, -1]),
    spare=st.integers(0, 2),
    seed=st.integers(0, 1 << 32),
)
def test_any_gemv(tmp_path: Path, outputs: int, units: int, group: int, spare: int, seed: int) -> None:
    inputs = units * (group if group > 0 else 8)
    matrix = Matrix(outputs, inputs, group, seed)
    room = -(-matrix.zeros.shape[1] // 8) + spare
    rows = decoded(AwqGemv(group), tmp_path / "x", matrix.gemv(room))
    np.testing.assert_array_equal(rows, matrix.rows())


def test_order_of_nibbles_is_spelled_out(tmp_path: Path) -> None:
    # the word 0x75316420 holds output j in the place that AutoAWQ's order gives it
    parts = {
        "qweight": stored(np.array([[0x75316420]], np.uint32).view(np.int32)),
        "qzeros": stored(np.zeros((1, 1), np.int32)),
        "scales": stored(np.ones((1, 8), np.float16)),
    }
    assert decoded(AwqGemm(-1), tmp_path / "x", parts).ravel().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    parts["qweight"] = stored(np.array([[0x76543210]], np.int32))
    assert decoded(AwqGemv(-1), tmp_path / "x", parts).ravel().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def i32(*shape: int) -> Stored:
    return stored(np.zeros(shape, np.int32))


def f16(*shape: int) -> Stored:
    return stored(np.zeros(shape, np.float16))


GEMM_BROKEN = [
    ("no qzeros", "qzeros", None, "has no qzeros"),
    ("flat", "qweight", i32(128), "qweight is I32 128"),
    ("floats", "qweight", f16(32, 2), "qweight is F16 32x2"),
    ("no inputs", "qweight", i32(0, 2), "0 inputs are not whole groups"),
    ("part of a group", "qweight", i32(33, 2), "33 inputs are not whole groups of 8"),
    ("fewer zeros", "qzeros", i32(3, 2), "qzeros is I32 3x2; .* I32 4x2"),
    ("other outputs", "qzeros", i32(4, 3), "qzeros is I32 4x3; .* I32 4x2"),
    ("fewer scales", "scales", f16(4, 15), "scales is F16 4x15; .* 4x16"),
    ("scales of whole numbers", "scales", i32(4, 16), "scales is I32 4x16"),
]


@pytest.mark.parametrize(
    ("part", "entry", "why"), [case[1:] for case in GEMM_BROKEN], ids=[case[0] for case in GEMM_BROKEN]
)
def test_gemm_parts_that_do_not_fit(tmp_path: Path, part: str, entry: Stored | None, why: str) -> None:
    parts = Matrix(16, 32, 8, 0).gemm()
    if entry is None:
        del parts[part]
    else:
        parts[part] = entry
    with pytest.raises(MalformedFile, match=rf"model\.proj: {why}"):
        AwqGemm(8).shape(module_of(tmp_path / "x", parts))


GEMV_BROKEN = [
    ("no scales", "scales", None, "has no scales"),
    ("flat", "qweight", i32(64), "qweight is I32 64"),
    ("no inputs", "qweight", i32(16, 0), "0 inputs are not whole groups"),
    ("part of a group", "qweight", i32(16, 3), "24 inputs are not whole groups of 16"),
    ("other outputs", "qzeros", i32(15, 1), r"qzeros is I32 15x1; .* I32 16x\?"),
    ("scales do not follow", "scales", f16(16, 2), "scales is F16 16x2; .* 16x8"),
    ("no room", "qzeros", i32(16, 0), "scales is F16 16x8; .* 16x0"),
]


@pytest.mark.parametrize(
    ("part", "entry", "why"), [case[1:] for case in GEMV_BROKEN], ids=[case[0] for case in GEMV_BROKEN]
)
def test_gemv_parts_that_do_not_fit(tmp_path: Path, part: str, entry: Stored | None, why: str) -> None:
    parts = Matrix(16, 32, 16, 0).gemv(1)
    if entry is None:
        del parts[part]
    else:
        parts[part] = entry
    with pytest.raises(MalformedFile, match=rf"model\.proj: {why}"):
        AwqGemv(16).shape(module_of(tmp_path / "x", parts))


def test_gemv_with_room_for_too_few_groups(tmp_path: Path) -> None:
    parts = Matrix(16, 72, 72, 0).gemv(1)
    with pytest.raises(MalformedFile, match="room for 8 groups of 8, 9 needed"):
        AwqGemv(8).shape(module_of(tmp_path / "x", parts))


def test_one_layout_read_as_the_other_is_refused(tmp_path: Path) -> None:
    matrix = Matrix(16, 64, 16, 0)
    with pytest.raises(MalformedFile):
        AwqGemv(16).shape(module_of(tmp_path / "x", matrix.gemm()))
    with pytest.raises(MalformedFile):
        AwqGemm(16).shape(module_of(tmp_path / "x", matrix.gemv(1)))
