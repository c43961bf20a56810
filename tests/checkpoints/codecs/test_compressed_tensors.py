"""Matrices that compressed-tensors compresses itself, decoded to what it decompresses them to itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.any_modules import FUZZED, any_parts, decode_if_it_may
from checkpoints.by_hand import Stored, module_of, stored
from checkpoints.codecs.compressing import GROUP, Compressed, compressed, ints
from hypothesis import given

from qaudit.checkpoints.raw_tensors import BITS
from qaudit.errors import InputError, MalformedFile

torch = pytest.importorskip("torch")

from qaudit.checkpoints.codecs.compressed_tensors import Groups  # noqa: E402


def decoded(matrix: Compressed, path: Path, slices: bool = True) -> np.ndarray:
    """All rows, after checking that slices of them are the same."""
    module = module_of(path, matrix.parts)
    codec = Groups(matrix.config).codec_for(module)
    outputs, inputs = codec.shape(module)
    whole = codec.rows(module, 0, outputs)
    assert whole.dtype == np.float32
    assert whole.shape == (outputs, inputs) == matrix.weight.shape
    for start, stop in (
        {(0, 1), (outputs - 1, outputs), (outputs // 3, outputs // 2 + 1), (1, outputs)} if slices else ()
    ):
        np.testing.assert_array_equal(codec.rows(module, start, stop), whole[start:stop])
    return whole


CHANNEL = {"strategy": "channel"}


@pytest.mark.parametrize("symmetric", [True, False], ids=["sym", "asym"])
@pytest.mark.parametrize("strategy", [GROUP, CHANNEL], ids=["group", "channel"])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 8])
def test_packed_integers(tmp_path: Path, bits: int, strategy: dict[str, Any], symmetric: bool) -> None:
    for outputs, inputs in ((24, 64), (10, 96), (64, 64)):
        matrix = compressed(
            "pack-quantized", ints(bits, **strategy, **{"symmetric": symmetric}), outputs, inputs
        )
        assert ("weight_zero_point" in matrix.parts) is not symmetric
        np.testing.assert_array_equal(decoded(matrix, tmp_path / "x"), matrix.theirs)


@pytest.mark.parametrize("inputs", [1, 7, 31, 33, 50])
@pytest.mark.parametrize("bits", [3, 4, 8])
def test_packed_integers_with_an_unused_end_of_a_word(tmp_path: Path, bits: int, inputs: int) -> None:
    matrix = compressed("pack-quantized", ints(bits, **CHANNEL), 9, inputs)
    np.testing.assert_array_equal(decoded(matrix, tmp_path / "x"), matrix.theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_types_of_scales(tmp_path: Path, dtype: torch.dtype) -> None:
    matrix = compressed("pack-quantized", ints(4, **GROUP), 8, 64, dtype)
    rows = decoded(matrix, tmp_path / "x")
    np.testing.assert_array_equal(rows, matrix.theirs)
    assert np.abs(rows - matrix.weight).max() < 0.06


@pytest.mark.parametrize(
    "strategy", [CHANNEL, {"strategy": "tensor"}, GROUP, {"strategy": "group", "group_size": 16}], ids=str
)
@pytest.mark.parametrize("symmetric", [True, False], ids=["sym", "asym"])
def test_plain_integers(tmp_path: Path, strategy: dict[str, Any], symmetric: bool) -> None:
    matrix = compressed("int-quantized", ints(8, **strategy, **{"symmetric": symmetric}), 12, 64)
    rows = decoded(matrix, tmp_path / "x")
    np.testing.assert_array_equal(rows, matrix.theirs)
    assert np.abs(rows - matrix.weight).max() < 0.01


def floats(bits: int, **more: Any) -> dict[str, Any]:
    return {"num_bits": bits, "type": "float", "symmetric": True, **more}


@pytest.mark.parametrize("strategy", [CHANNEL, {"strategy": "tensor"}, GROUP], ids=str)
def test_8_bit_floats(tmp_path: Path, strategy: dict[str, Any]) -> None:
    matrix = compressed("float-quantized", floats(8, **strategy), 12, 64)
    rows = decoded(matrix, tmp_path / "x")
    np.testing.assert_array_equal(rows, matrix.theirs)
    assert np.abs(rows - matrix.weight).max() < 0.03


BLOCK = {"strategy": "block", "block_structure": [16, 32]}


@pytest.mark.parametrize(("outputs", "inputs"), [(32, 64), (40, 72), (16, 32), (8, 8)])
def test_blocks_of_8_bit_floats(tmp_path: Path, outputs: int, inputs: int) -> None:
    matrix = compressed("float-quantized", floats(8, **BLOCK), outputs, inputs)
    rows = decoded(matrix, tmp_path / "x", slices=False)
    np.testing.assert_array_equal(rows, matrix.theirs)
    assert np.abs(rows - matrix.weight).max() < 0.03


@pytest.mark.parametrize(("start", "stop"), [(8, 48), (16, 48), (0, 16), (20, 21)])
def test_some_rows_of_blocks(tmp_path: Path, start: int, stop: int) -> None:
    matrix = compressed("float-quantized", floats(8, **BLOCK), 48, 64)
    module = module_of(tmp_path / "x", matrix.parts)
    codec = Groups(matrix.config).codec_for(module)
    np.testing.assert_array_equal(codec.rows(module, start, stop), matrix.theirs[start:stop])


def test_nvfp4(tmp_path: Path) -> None:
    for outputs, inputs in ((6, 32), (32, 64), (1, 16)):
        weights = floats(4, strategy="tensor_group", group_size=16)
        weights |= {"scale_dtype": "torch.float8_e4m3fn", "zp_dtype": "torch.float8_e4m3fn"}
        matrix = compressed("nvfp4-pack-quantized", weights, outputs, inputs)
        assert {"weight_packed", "weight_scale", "weight_global_scale"} <= matrix.parts.keys()
        assert matrix.parts["weight_scale"][0] == "F8_E4M3"
        rows = decoded(matrix, tmp_path / "x")
        np.testing.assert_array_equal(rows, matrix.theirs)
        assert np.abs(rows - matrix.weight).max() < 0.1


def mx(bits: int) -> dict[str, Any]:
    return floats(bits, strategy="group", group_size=32, scale_dtype="torch.uint8", zp_dtype="torch.uint8")


def test_mxfp4(tmp_path: Path) -> None:
    for outputs, inputs in ((6, 32), (32, 64)):
        matrix = compressed("mxfp4-pack-quantized", mx(4), outputs, inputs)
        rows = decoded(matrix, tmp_path / "x")
        np.testing.assert_array_equal(rows, matrix.theirs)
        assert np.abs(rows - matrix.weight).max() < 0.2


def test_mxfp8(tmp_path: Path) -> None:
    matrix = compressed("mxfp8-quantized", mx(8), 6, 64)
    rows = decoded(matrix, tmp_path / "x")
    np.testing.assert_array_equal(rows, matrix.theirs)
    assert np.abs(rows - matrix.weight).max() < 0.05


def test_mxfp6(tmp_path: Path) -> None:
    matrix = compressed("mxfp6-pack-quantized", mx(6), 6, 64)
    np.testing.assert_array_equal(decoded(matrix, tmp_path / "x"), matrix.theirs)


def test_a_shuffled_order_of_inputs_is_not_ignored(tmp_path: Path) -> None:
    matrix = compressed("pack-quantized", ints(4, **GROUP), 8, 64)
    matrix.parts["weight_g_idx"] = stored((np.arange(64) % 2).astype(np.int32))
    module = module_of(tmp_path / "x", matrix.parts)
    with pytest.raises(MalformedFile):
        Groups(matrix.config).codec_for(module).rows(module, 0, 8)


def packed() -> Compressed:
    return compressed("pack-quantized", ints(4, strategy="group", group_size=32, symmetric=False), 24, 64)


def f16(*shape: int) -> Stored:
    return stored(np.ones(shape, np.float16))


BROKEN = [
    ("no scale", {"weight_scale": None}, "has no weight_scale"),
    ("no codes", {"weight_packed": None}, "has no weight_packed"),
    ("no zeros", {"weight_zero_point": None}, "compressed-tensors cannot decode it"),
    ("flat codes", {"weight_packed": stored(np.zeros(192, np.int32))}, "weight_packed is I32 192"),
    ("codes of floats", {"weight_packed": stored(np.zeros((24, 8), np.float32))}, "compressed-tensors cannot decode it"),
    ("more outputs", {"weight_shape": stored(np.array([25, 64]))}, "weight_shape 25x64 does not fit weight_packed 24x8"),
    ("more inputs", {"weight_shape": stored(np.array([24, 65]))}, "weight_shape 24x65 does not fit weight_packed 24x8"),
    ("fewer inputs", {"weight_shape": stored(np.array([24, 56]))}, "weight_shape 24x56 does not fit"),
    ("no inputs", {"weight_shape": stored(np.array([24, 0]))}, "weight_shape 24x0 does not fit"),
    ("negative inputs", {"weight_shape": stored(np.array([24, -64]))}, "weight_shape 24x-64 does not fit"),
    ("huge inputs", {"weight_shape": stored(np.array([24, 1 << 62]))}, "weight_shape 24x4611686018427387904 does not"),
    ("shape of floats", {"weight_shape": stored(np.array([24.0, 64.0]))}, "weight_shape is F64 2"),
    ("shape of one", {"weight_shape": stored(np.array([24]))}, "weight_shape is I64 1"),
    ("scales of other groups", {"weight_scale": f16(24, 3)}, "weight_scale .* is not by group of 24x64"),
    ("scales of other outputs", {"weight_scale": f16(23, 2)}, "weight_scale .* is not by group"),
    ("scales of three dimensions", {"weight_scale": f16(24, 2, 2)}, "weight_scale .* is not by group"),
    ("no scales in it", {"weight_scale": f16(24, 0)}, "weight_scale .* is not by group"),
    ("too few zeros", {"weight_zero_point": stored(np.zeros((1, 2), np.int32))}, "weight_zero_point .* does not fit"),
    ("zeros of floats", {"weight_zero_point": f16(3, 2)}, "compressed-tensors cannot decode it|decodes to"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "why"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_parts_that_do_not_fit(tmp_path: Path, changes: dict[str, Stored | None], why: str) -> None:
    matrix = packed()
    parts = {name: entry for name, entry in (matrix.parts | changes).items() if entry is not None}
    module = module_of(tmp_path / "x", parts)
    codec = Groups(matrix.config).codec_for(module)
    with pytest.raises(MalformedFile, match=rf"model\.proj: ({why})") as caught:
        codec.rows(module, 0, codec.shape(module)[0])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "changes",
    [
        {"weight_zero_point": stored(np.zeros((3, 1), np.int32))},
        {"weight_scale": f16(24, 1)},
        {"weight_scale": f16(1, 2)},
    ],
    ids=["zeros of one group", "scales of one group", "scales of one output"],
)
def test_parts_that_are_too_small(tmp_path: Path, changes: dict[str, Stored]) -> None:
    matrix = packed()
    module = module_of(tmp_path / "x", matrix.parts | changes)
    codec = Groups(matrix.config).codec_for(module)
    with pytest.raises(MalformedFile):
        codec.rows(module, 0, codec.shape(module)[0])


NAMED = ("weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_global_scale")
WEIGHTS = {
    "pack-quantized": ints(4, strategy="group", group_size=8, symmetric=False),
    "int-quantized": ints(8, **CHANNEL),
    "float-quantized": floats(8, strategy="block", block_structure=[2, 4]),
    "nvfp4-pack-quantized": floats(4, strategy="tensor_group", group_size=8),
    "mxfp4-pack-quantized": floats(4, strategy="group", group_size=8),
    "mxfp8-quantized": floats(8, strategy="group", group_size=8),
}


def config_of(layout: str) -> dict[str, Any]:
    return {"format": layout, "config_groups": {"g": {"targets": ["Linear"], "weights": WEIGHTS[layout]}}}


@pytest.mark.parametrize("layout", WEIGHTS)
@FUZZED
@given(parts=any_parts(NAMED))
def test_any_parts_decode_or_are_refused(tmp_path: Path, layout: str, parts: dict[str, Stored]) -> None:
    decode_if_it_may(Groups(config_of(layout)).codec_for, tmp_path / "x", parts)


def test_a_zero_point_that_is_a_scalar(tmp_path: Path) -> None:
    matrix = packed()
    matrix.parts["weight_zero_point"] = stored(np.array(0, np.int32))
    module = module_of(tmp_path / "x", matrix.parts)
    with pytest.raises(MalformedFile):
        Groups(matrix.config).codec_for(module).rows(module, 0, 24)


@pytest.mark.parametrize("dtype", ["F4", "U16", "U32", "U64", "C64"])
def test_parts_of_types_that_are_not_read(tmp_path: Path, dtype: str) -> None:
    matrix = packed()
    matrix.parts["weight_global_scale"] = (dtype, (8,), bytes(BITS[dtype]))
    module = module_of(tmp_path / "x", matrix.parts)
    with pytest.raises(InputError):
        Groups(matrix.config).codec_for(module).rows(module, 0, 24)
