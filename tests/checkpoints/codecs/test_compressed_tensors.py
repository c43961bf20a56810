"""Matrices that compressed-tensors compresses itself, decoded to what it decompresses them to itself."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.any_modules import FUZZED, any_parts, decode_if_it_may
from checkpoints.by_hand import Stored, module_of, stored
from hypothesis import given

from qaudit.checkpoints.raw_tensors import BITS
from qaudit.errors import InputError, MalformedFile

torch = pytest.importorskip("torch")
pytest.importorskip("compressed_tensors")

from compressed_tensors.compressors import BaseCompressor  # noqa: E402
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme  # noqa: E402
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam  # noqa: E402

from qaudit.checkpoints.codecs.compressed_tensors import CompressedTensors, Groups  # noqa: E402

NAMES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32",
    torch.int8: "I8", torch.uint8: "U8", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e8m0fnu: "F8_E8M0",
}  # fmt: skip


@dataclass
class Compressed:
    """A matrix as the library stores it, and what it reads back from that."""

    config: dict[str, Any]
    parts: dict[str, Stored]
    weight: np.ndarray
    theirs: np.ndarray


def compressed(
    layout: str, weights: dict[str, Any], outputs: int, inputs: int, dtype: torch.dtype = torch.bfloat16
) -> Compressed:
    generator = torch.Generator().manual_seed(outputs * inputs)
    weight = (torch.randn(outputs, inputs, generator=generator) * 0.1 + 0.03).to(dtype)
    args = QuantizationArgs(**weights)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    state: dict[str, torch.Tensor] = {"weight": weight}
    blocks = in_blocks(weight, args)
    low, high = blocks.amin(dim=(-1, -3)), blocks.amax(dim=(-1, -3))
    if args.strategy in ("tensor", "channel"):
        low, high = low.reshape(-1, 1), high.reshape(-1, 1)
    if args.strategy == "tensor":
        low, high = low.reshape(1), high.reshape(1)
    if args.strategy == "tensor_group":
        state["weight_global_scale"] = generate_gparam(weight.amin(), weight.amax())
    state["weight_scale"], state["weight_zero_point"] = calculate_qparams(
        low, high, args, global_scale=state.get("weight_global_scale")
    )
    compressor = BaseCompressor.get_value_from_registry(layout)
    parts = compressor.compress(state, scheme)
    theirs = compressor.decompress(parts, scheme)["weight"]
    config = {
        "quant_method": "compressed-tensors",
        "format": layout,
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }
    entries = {name: of_torch(tensor) for name, tensor in parts.items()}
    return Compressed(config, entries, weight.float().numpy(), theirs.float().numpy())


def in_blocks(weight: torch.Tensor, args: QuantizationArgs) -> torch.Tensor:
    """Blocks that share a scale, as [blocks of outputs, outputs, blocks of inputs, inputs]."""
    outputs, inputs = weight.shape
    tall, wide = {
        "tensor": (outputs, inputs),
        "channel": (1, inputs),
        "group": (1, args.group_size),
        "tensor_group": (1, args.group_size),
        "block": tuple(args.block_structure or ()),
    }[str(getattr(args.strategy, "value", args.strategy))]  # fmt: skip
    padded = torch.nn.functional.pad(weight, (0, -inputs % wide, 0, -outputs % tall))
    return padded.reshape(padded.shape[0] // tall, tall, padded.shape[1] // wide, wide)


def of_torch(tensor: torch.Tensor) -> Stored:
    flat = tensor.detach().flatten().clone(memory_format=torch.contiguous_format)
    return NAMES[tensor.dtype], tuple(tensor.shape), flat.view(torch.uint8).numpy().tobytes()


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


def ints(bits: int, **more: Any) -> dict[str, Any]:
    return {"num_bits": bits, "type": "int", "symmetric": True, **more}


GROUP, CHANNEL = {"strategy": "group", "group_size": 32}, {"strategy": "channel"}


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


def groups_of(*targets: list[str], **more: Any) -> Groups:
    weights = ints(4, **GROUP)
    return Groups(
        {
            "format": "pack-quantized",
            "config_groups": {
                f"g{i}": {"targets": names, "weights": weights} for i, names in enumerate(targets)
            },
            **more,
        }
    )


@pytest.fixture
def codec_in(tmp_path: Path) -> Callable[[Groups, str], CompressedTensors]:
    matrix = compressed("pack-quantized", ints(4, **GROUP), 8, 64)

    def codec(groups: Groups, module: str) -> CompressedTensors:
        return groups.codec_for(module_of(tmp_path / "x", matrix.parts, module))

    return codec


def test_which_group_has_a_module(codec_in: Callable[[Groups, str], CompressedTensors]) -> None:
    groups = groups_of(["re:.*q_proj$", "model.layers.0.k_proj"], ["re:model.layers.1.*"])
    first, second = groups._schemes
    assert codec_in(groups, "model.layers.1.q_proj").scheme is first
    assert codec_in(groups, "model.layers.0.k_proj").scheme is first
    assert codec_in(groups, "model.layers.1.v_proj").scheme is second
    with pytest.raises(MalformedFile, match=r"model\.layers\.0\.v_proj: is compressed, but no group"):
        codec_in(groups, "model.layers.0.v_proj")
    assert codec_in(groups_of(["Embedding"], ["Linear"]), "any.module").format == "pack-quantized"
    # the only group has every module, whatever its targets are called
    assert codec_in(groups_of(["LlamaAttention"]), "any.module").format == "pack-quantized"


def test_bits_of_all_groups() -> None:
    assert groups_of(["Linear"]).bits == "4-bit"
    both = {"a": {"targets": ["x"], "weights": ints(8)}, "b": {"targets": ["y"], "weights": ints(4)}}
    assert Groups({"format": "pack-quantized", "config_groups": both}).bits == "4/8-bit"


def test_a_format_that_the_library_does_not_know(
    codec_in: Callable[[Groups, str], CompressedTensors],
) -> None:
    with pytest.raises(MalformedFile, match="the format 'marlin-24' is not known to compressed-tensors here"):
        codec_in(groups_of(["Linear"], format="marlin-24"), "model.proj")


def test_a_group_without_weights(codec_in: Callable[[Groups, str], CompressedTensors]) -> None:
    groups = Groups({"format": "pack-quantized", "config_groups": {"g": {"targets": ["Linear"]}}})
    with pytest.raises(MalformedFile, match="no group of the quantization_config has it"):
        codec_in(groups, "model.proj")


@pytest.mark.parametrize(
    "pattern",
    [
        "re:(",
        "re:[",
        "re:(a+)+$",
        "re:(.*)*x",
        "re:.*.*.*.*x",
        "re:(?P<n>a)(?P<n>b)",
        "re:(a|a){40}x",
        pytest.param("re:a{4294967296}"),
        pytest.param("re:" + "(" * 5000 + ")" * 5000, id="nested"),
    ],
)
def test_patterns_that_are_broken_or_take_for_ever(
    codec_in: Callable[[Groups, str], CompressedTensors], pattern: str
) -> None:
    with pytest.raises(MalformedFile, match="pattern"):
        codec_in(groups_of([pattern], ["Linear"]), "a" * 200)


def give_up(number: int, frame: object) -> None:
    raise TimeoutError


@pytest.mark.parametrize("pattern", ["a?" * 40 + "x", "(a|aa)" * 40 + "x"], ids=["optional", "alternatives"])
def test_patterns_without_stars_that_take_for_ever(
    codec_in: Callable[[Groups, str], CompressedTensors], pattern: str
) -> None:
    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(MalformedFile, match="pattern"):
            codec_in(groups_of(["re:" + pattern], ["Linear"]), "a" * 200)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_what_a_pattern_may_do_depends_on_the_names_length(
    codec_in: Callable[[Groups, str], CompressedTensors],
) -> None:
    groups = groups_of([r"re:.*a.*(q|k|v)_proj.*$"], ["Linear"])
    codec_in(groups, "model.a.q_proj")
    with pytest.raises(MalformedFile, match="pattern that could take for ever"):
        codec_in(groups, "a" * 200)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"config_groups": {}},
        {"config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": "four"}}}},
        {
            "config_groups": {
                "g": {"targets": ["Linear"], "weights": ints(4, strategy="group", actorder="group")}
            }
        },
    ],
    ids=["nothing", "no groups", "bits of text", "act-order"],
)
def test_configurations_that_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Groups(config)


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
