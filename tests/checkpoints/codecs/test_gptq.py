"""GPTQ against a packer that follows AutoGPTQ's layout with one Python number per column or group."""

from pathlib import Path

import numpy as np
import pytest
from checkpoints.by_hand import Stored, module_of, stored
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.checkpoints.codecs.gptq import Gptq
from qaudit.errors import MalformedFile

BITS = (2, 3, 4, 8)


def stream(codes: np.ndarray, bits: int) -> list[int]:
    """Words of 32 bits: codes follow each other from the lowest bit, over the edges of words."""
    number, length = 0, 0
    for code in codes:
        number |= int(code) << length
        length += bits
    return [(number >> at) & 0xFFFFFFFF for at in range(0, length, 32)]


def as_int32(words: list[list[int]]) -> np.ndarray:
    return np.array(words, np.uint32).view(np.int32)


class Matrix:
    """Random codes, zeros, scales and groups; its parts as they are stored, its rows as they mean."""

    def __init__(
        self, bits: int, inputs: int, outputs: int, groups: int, seed: int, *, sym: bool = False
    ) -> None:
        self.bits, self.inputs, self.outputs, self.groups = bits, inputs, outputs, groups
        generator = np.random.default_rng(seed)
        self.codes = generator.integers(0, 1 << bits, (inputs, outputs))
        # version 1 cannot store a zero of 0 but by borrowing from the next code
        self.zeros = generator.integers(1, 1 << bits, (groups, outputs))
        if sym:
            self.zeros[:] = 1 << (bits - 1)
        self.scales = generator.standard_normal((groups, outputs)).astype(np.float16)
        self.group_of = np.arange(inputs) // -(-inputs // groups)

    def shuffle(self, seed: int) -> None:
        """Act-order: each input is in any group."""
        self.group_of = np.random.default_rng(seed).integers(0, self.groups, self.inputs)

    def parts(self, version: int, *, g_idx: bool = True, wide: bool = False) -> dict[str, Stored]:
        less = 1 if version == 1 else 0
        parts = {
            "qweight": stored(as_int32([stream(column, self.bits) for column in self.codes.T]).T),
            "qzeros": stored(as_int32([stream(row - less, self.bits) for row in self.zeros])),
            "scales": stored(self.scales),
        }
        if g_idx:
            parts["g_idx"] = stored(self.group_of.astype(np.int64 if wide else np.int32))
        return parts

    def rows(self) -> np.ndarray:
        rows = np.empty((self.outputs, self.inputs), np.float32)
        for output in range(self.outputs):
            for i in range(self.inputs):
                group = self.group_of[i]
                difference = np.float32(self.codes[i, output] - self.zeros[group, output])
                rows[output, i] = difference * np.float32(self.scales[group, output])
        return rows


def decoded(codec: Gptq, path: Path, parts: dict[str, Stored]) -> np.ndarray:
    """All rows, after checking that any slice of them is the same."""
    module = module_of(path, parts)
    outputs, inputs = codec.shape(module)
    whole = codec.rows(module, 0, outputs)
    assert whole.dtype == np.float32
    assert whole.shape == (outputs, inputs)
    for start, stop in {(0, 1), (outputs - 1, outputs), (outputs // 3, outputs // 2 + 1)}:
        np.testing.assert_array_equal(codec.rows(module, start, stop), whole[start:stop])
    return whole


@pytest.mark.parametrize("g_idx", [True, False], ids=["g_idx", "without"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("sym", [True, False], ids=["sym", "asym"])
@pytest.mark.parametrize("bits", BITS)
def test_every_layout(tmp_path: Path, bits: int, sym: bool, version: int, g_idx: bool) -> None:
    matrix = Matrix(bits, 64, 40, 4, seed=bits, sym=sym)
    codec = Gptq(bits, 16, zeros_less_one=version == 1)
    rows = decoded(codec, tmp_path / "x", matrix.parts(version, g_idx=g_idx))
    np.testing.assert_array_equal(rows, matrix.rows())


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("bits", BITS)
def test_act_order(tmp_path: Path, bits: int, version: int) -> None:
    matrix = Matrix(bits, 96, 33, 3, seed=bits)
    matrix.shuffle(seed=version)
    codec = Gptq(bits, 32, zeros_less_one=version == 1)
    for wide in (False, True):
        rows = decoded(codec, tmp_path / "x", matrix.parts(version, wide=wide))
        np.testing.assert_array_equal(rows, matrix.rows())


@pytest.mark.parametrize("bits", BITS)
def test_one_group_for_all_inputs(tmp_path: Path, bits: int) -> None:
    matrix = Matrix(bits, 32, 8, 1, seed=bits)
    codec = Gptq(bits, -1, zeros_less_one=True)
    rows = decoded(codec, tmp_path / "x", matrix.parts(1, g_idx=False))
    np.testing.assert_array_equal(rows, matrix.rows())


@pytest.mark.parametrize("group", [20, 24, 64, 128])
def test_a_last_group_that_is_not_full(tmp_path: Path, group: int) -> None:
    matrix = Matrix(4, 64, 8, -(-64 // group), seed=group)
    matrix.group_of = np.arange(64) // group
    rows = decoded(Gptq(4, group, zeros_less_one=False), tmp_path / "x", matrix.parts(2, g_idx=False))
    np.testing.assert_array_equal(rows, matrix.rows())


@settings(max_examples=60, deadline=None)
@given(
    bits=st.sampled_from(BITS),
    units=st.integers(1, 3),
    outputs=st.integers(1, 70),
    groups=st.integers(1, 4),
    version=st.sampled_from([1, 2]),
    shuffled=st.booleans(),
    seed=st.integers(0, 1 << 32),
)
def test_any_shape(
    tmp_path: Path, bits: int, units: int, outputs: int, groups: int, version: int, shuffled: bool, seed: int
) -> None:
    inputs = units * (32 if bits == 3 else 32 // bits)
    groups = min(groups, inputs)
    matrix = Matrix(bits, inputs, outputs, groups, seed)
    if shuffled:
        matrix.shuffle(seed + 1)
    codec = Gptq(bits, -(-inputs // groups), zeros_less_one=version == 1)
    assert codec.shape(module_of(tmp_path / "x", matrix.parts(version))) == (outputs, inputs)
    rows = decoded(codec, tmp_path / "x", matrix.parts(version, g_idx=shuffled))
    np.testing.assert_array_equal(rows, matrix.rows())


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_zero_of_0_borrows_from_the_next_code_in_version_1(tmp_path: Path, bits: int) -> None:
    matrix = Matrix(bits, 32, 40, 2, seed=1)
    matrix.zeros = np.random.default_rng(2).integers(0, 1 << bits, matrix.zeros.shape)
    matrix.zeros[0, ::3] = 0
    parts = matrix.parts(2)
    ones = sum(1 << at for at in range(0, 32, bits))
    words = np.frombuffer(parts["qzeros"][2], np.uint32).reshape(parts["qzeros"][1])
    parts["qzeros"] = stored((words - np.uint32(ones)).view(np.int32))
    rows = decoded(Gptq(bits, 16, zeros_less_one=True), tmp_path / "x", parts)
    np.testing.assert_array_equal(rows, matrix.rows())


def test_a_3_bit_zero_of_0_in_version_1_is_stored_as_7(tmp_path: Path) -> None:
    matrix = Matrix(3, 32, 40, 2, seed=1)
    matrix.zeros[:, ::2] = 0
    parts = matrix.parts(2)
    parts["qzeros"] = stored(as_int32([stream((row - 1) % 8, 3) for row in matrix.zeros]))
    rows = decoded(Gptq(3, 16, zeros_less_one=True), tmp_path / "x", parts)
    np.testing.assert_array_equal(rows, matrix.rows())


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_other_types_of_scales(tmp_path: Path, dtype: str) -> None:
    matrix = Matrix(4, 32, 8, 2, seed=0)
    # values that a bfloat16 has exactly
    matrix.scales = np.float16(2.0) ** np.random.default_rng(0).integers(-9, 0, (2, 8)).astype(np.float16)
    full = matrix.scales.astype(np.float32)
    parts = matrix.parts(2)
    parts["scales"] = (
        stored(full) if dtype == "F32" else stored((full.view(np.uint32) >> 16).astype(np.uint16), "BF16")
    )
    rows = decoded(Gptq(4, 16, zeros_less_one=False), tmp_path / "x", parts)
    np.testing.assert_array_equal(rows, matrix.rows())


def i32(*shape: int) -> Stored:
    return stored(np.zeros(shape, np.int32))


def f16(*shape: int) -> Stored:
    return stored(np.zeros(shape, np.float16))


BROKEN = [
    ("no qzeros", 4, "qzeros", None, "has no qzeros"),
    ("no scales", 4, "scales", None, "has no scales"),
    ("qweight of one dimension", 4, "qweight", i32(64), "qweight is I32 64; .* I32"),
    ("qweight of floats", 4, "qweight", f16(8, 40), "qweight is F16 8x40"),
    ("no words", 4, "qweight", i32(0, 40), "qweight has 0 words for each output"),
    (
        "not whole codes",
        3,
        "qweight",
        i32(7, 40),
        "qweight has 7 words for each output, not whole 3-bit codes",
    ),
    ("other outputs", 4, "scales", f16(4, 41), "scales is F16 4x41; .*x40"),
    ("scales of whole numbers", 4, "scales", i32(4, 40), "scales is I32 4x40"),
    ("too few zeros", 4, "qzeros", i32(4, 4), "qzeros is I32 4x4; .* I32 4x5"),
    ("too many zeros", 4, "qzeros", i32(4, 6), "qzeros is I32 4x6; .* I32 4x5"),
    ("too few groups of zeros", 4, "qzeros", i32(3, 5), "qzeros is I32 3x5; .* I32 4x5"),
    ("short g_idx", 4, "g_idx", i32(63), "g_idx is I32 63; .* 64"),
    ("flat g_idx", 4, "g_idx", i32(64, 1), "g_idx is I32 64x1"),
    ("g_idx of floats", 4, "g_idx", f16(64), "g_idx is F16 64"),
]


@pytest.mark.parametrize(
    ("bits", "part", "entry", "why"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_parts_that_do_not_fit(tmp_path: Path, bits: int, part: str, entry: Stored | None, why: str) -> None:
    parts = Matrix(4, 64, 40, 4, seed=0).parts(1)
    if entry is None:
        del parts[part]
    else:
        parts[part] = entry
    with pytest.raises(MalformedFile, match=rf"model\.proj: {why}"):
        Gptq(bits, 16, zeros_less_one=True).shape(module_of(tmp_path / "x", parts))


@pytest.mark.parametrize("group", [4, -1, 1 << 40])
@pytest.mark.parametrize("place", [0, 63])
def test_g_idx_out_of_range(tmp_path: Path, group: int, place: int) -> None:
    matrix = Matrix(4, 64, 40, 4, seed=0)
    matrix.group_of[place] = group
    codec = Gptq(4, 16, zeros_less_one=True)
    module = module_of(tmp_path / "x", matrix.parts(1, wide=True))
    codec.shape(module)
    with pytest.raises(MalformedFile, match=r"model\.proj: g_idx names group \d+ \(or a negative one\) of 4"):
        codec.rows(module, 0, 40)


def test_too_few_groups_without_g_idx(tmp_path: Path) -> None:
    parts = Matrix(4, 64, 40, 4, seed=0).parts(1, g_idx=False)
    with pytest.raises(MalformedFile, match="4 groups of 8 do not cover 64 inputs"):
        Gptq(4, 8, zeros_less_one=True).shape(module_of(tmp_path / "x", parts))


def test_no_groups_at_all(tmp_path: Path) -> None:
    parts = Matrix(4, 64, 40, 4, seed=0).parts(1)
    parts |= {"scales": f16(0, 40), "qzeros": i32(0, 5)}
    module = module_of(tmp_path / "x", parts)
    codec = Gptq(4, 16, zeros_less_one=True)
    with pytest.raises(MalformedFile, match="g_idx names group"):
        codec.rows(module, 0, codec.shape(module)[0])
