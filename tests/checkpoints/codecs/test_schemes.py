"""Which codec for which module, and configurations that are unknown or lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.any_modules import FUZZED, any_parts, decode_if_it_may
from checkpoints.by_hand import Stored, module_of, stored
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.checkpoints.codecs.awq import AwqGemm, AwqGemv
from qaudit.checkpoints.codecs.bitsandbytes import STATE, EightBit, FourBit
from qaudit.checkpoints.codecs.fp8 import Fp8
from qaudit.checkpoints.codecs.gptq import Gptq
from qaudit.checkpoints.codecs.plain import Plain
from qaudit.checkpoints.codecs.schemes import MAIN_PARTS, PARTS, Scheme
from qaudit.errors import InputError, MalformedFile

PATH = Path("config.json")
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}
PACKED = {"qweight": stored(np.zeros((4, 4), np.int32))}
FLOATS = {"weight": stored(np.zeros((4, 4), np.float16))}
SCALED = {
    "weight": stored(np.zeros((4, 4), np.uint8), "F8_E4M3"),
    "weight_scale": stored(np.ones(1, np.float32)),
}


def codec(tmp_path: Path, config: Mapping[str, Any] | None, parts: Mapping[str, Stored]) -> object:
    return Scheme(PATH, config).codec_for(module_of(tmp_path / "x", parts))


@pytest.mark.parametrize(
    ("config", "name", "expected"),
    [
        (AWQ, "AWQ 4-bit g128", AwqGemm(128)),
        (AWQ | {"version": "GEMM", "group_size": 64}, "AWQ 4-bit g64", AwqGemm(64)),
        (AWQ | {"version": "gemv", "group_size": -1}, "AWQ 4-bit per channel", AwqGemv(-1)),
        (AWQ | {"checkpoint_format": "gemv"}, "AWQ 4-bit g128", AwqGemv(128)),
        # AutoAWQ's own file has neither a method nor today's names
        ({"w_bit": 4, "q_group_size": 32, "version": "GEMV"}, "AWQ 4-bit g32", AwqGemv(32)),
        ({"quant_method": "awq"}, "AWQ 4-bit g128", AwqGemm(128)),
        (GPTQ, "GPTQ 4-bit g128", Gptq(4, 128, True)),
        (GPTQ | {"checkpoint_format": "gptq_v2"}, "GPTQ 4-bit g128", Gptq(4, 128, False)),
        (GPTQ | {"format": "gptq_v2", "bits": 2}, "GPTQ 2-bit g128", Gptq(2, 128, False)),
        (GPTQ | {"group_size": -1, "bits": 8}, "GPTQ 8-bit per channel", Gptq(8, -1, True)),
        (GPTQ | {"quant_method": "GPTQ", "bits": 3}, "GPTQ 3-bit g128", Gptq(3, 128, True)),
        # quantize_config.json of AutoGPTQ names no method
        ({"bits": 4, "group_size": 32}, "GPTQ 4-bit g32", Gptq(4, 32, True)),
    ],
)
def test_packed_modules(tmp_path: Path, config: dict[str, Any], name: str, expected: object) -> None:
    assert Scheme(PATH, config).name == name
    assert codec(tmp_path, config, PACKED) == expected
    # what was left out of quantization, such as lm_head, is plain
    assert isinstance(codec(tmp_path, config, FLOATS), Plain)


@pytest.mark.parametrize(
    ("config", "block"),
    [
        ({"quant_method": "fp8"}, (128, 128)),
        ({"quant_method": "fp8", "weight_block_size": [64, 32]}, (64, 32)),
        ({"quant_method": "fp8", "weight_block_size": None}, (128, 128)),
        ({"quant_method": "fbgemm_fp8"}, (128, 128)),
    ],
)
def test_fp8(tmp_path: Path, config: dict[str, Any], block: tuple[int, int]) -> None:
    assert Scheme(PATH, config).name == "FP8 8-bit"
    assert codec(tmp_path, config, SCALED) == Fp8(block)
    assert isinstance(codec(tmp_path, config, FLOATS), Plain)


def test_fp8_without_a_configuration(tmp_path: Path) -> None:
    assert codec(tmp_path, None, SCALED) == Fp8()
    integers = {"weight": stored(np.zeros((4, 4), np.int8)), "weight_scale": stored(np.ones(1, np.float32))}
    with pytest.raises(MalformedFile, match="I8 with a scale, but the configuration names no way to read it"):
        codec(tmp_path, None, integers)


def test_bitsandbytes(tmp_path: Path) -> None:
    four = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    assert Scheme(PATH, four).name == "bitsandbytes nf4 4-bit"
    assert (
        Scheme(PATH, {"quant_method": "bitsandbytes", "_load_in_4bit": True}).name == "bitsandbytes fp4 4-bit"
    )
    eight = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    assert Scheme(PATH, eight).name == "bitsandbytes int8 8-bit"
    codes = {"weight": stored(np.zeros((8, 1), np.uint8))}
    for part in ("weight.absmax", STATE + "nf4", STATE + "fp4"):
        assert isinstance(codec(tmp_path, four, codes | {part: stored(np.zeros(1, np.uint8))}), FourBit)
    integers = {"weight": stored(np.zeros((4, 4), np.int8)), "SCB": stored(np.zeros(4, np.float32))}
    assert isinstance(codec(tmp_path, eight, integers), EightBit)
    assert isinstance(codec(tmp_path, four, FLOATS), Plain)


def test_no_configuration(tmp_path: Path) -> None:
    assert Scheme(PATH, None).name == "none"
    assert isinstance(codec(tmp_path, None, FLOATS), Plain)


@pytest.mark.parametrize("config", [None, {"quant_method": "bitsandbytes", "load_in_8bit": True}])
@pytest.mark.parametrize("part", ["qweight", "weight_packed"])
def test_packed_without_a_way_to_unpack(tmp_path: Path, config: dict[str, Any] | None, part: str) -> None:
    parts = {part: stored(np.zeros((4, 4), np.int32))}
    with pytest.raises(MalformedFile, match=r"model\.proj: is packed, but the configuration names no way"):
        codec(tmp_path, config, parts)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"quant_method": "hqq"}, "quantization method 'hqq' is not read here; known: awq, gptq, "),
        ({"quant_method": "x" * 9999}, "quantization method 'xxx"),
        ({"quant_method": ["awq"]}, "quantization method .* is not read here"),
        (AWQ | {"version": "gemv_fast"}, "AWQ layout 'gemv_fast' is not read here; known: gemm, gemv"),
        (AWQ | {"version": 3}, "AWQ layout '3' is not read here"),
        (
            GPTQ | {"checkpoint_format": "marlin"},
            "GPTQ layout 'marlin' is not read here; known: gptq, gptq_v2",
        ),
    ],
)
def test_methods_that_are_not_read(config: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=rf"config\.json: {why}") as caught:
        Scheme(PATH, config)
    assert not isinstance(caught.value, MalformedFile)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (AWQ | {"bits": 8}, "AWQ of 8 bits; AWQ has 4"),
        (AWQ | {"bits": "4"}, "bits is not a whole number"),
        (AWQ | {"group_size": 0}, "group_size 0 is not a number of inputs"),
        (AWQ | {"group_size": -2}, "group_size -2 is not"),
        (AWQ | {"group_size": 1 << 30}, "group_size 1073741824 is not"),
        (AWQ | {"group_size": 128.0}, "group_size is not a whole number"),
        (GPTQ | {"bits": 5}, "GPTQ of 5 bits; known: 2, 3, 4, 8"),
        (GPTQ | {"bits": True}, "bits is not a whole number"),
        (GPTQ | {"bits": None}, "bits is not a whole number"),
        ({}, "bits is not a whole number"),
        (GPTQ | {"group_size": []}, "group_size is not a whole number"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, "weight_block_size is not two lengths"),
        ({"quant_method": "fp8", "weight_block_size": 128}, "weight_block_size is not two lengths"),
        ({"quant_method": "fp8", "weight_block_size": [0, 128]}, "weight_block_size is not two lengths"),
        ({"quant_method": "fp8", "weight_block_size": ["1", 128]}, "weight_block_size is not a whole number"),
        (
            {"quant_method": "fp8", "weight_block_size": [None, 128]},
            "weight_block_size is not a whole number",
        ),
    ],
)
def test_configurations_that_lie(config: dict[str, Any], why: str) -> None:
    with pytest.raises(MalformedFile, match=rf"config\.json: .*{why}"):
        Scheme(PATH, config)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["gemm", "gptq"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KEYS = ("bits", "w_bit", "group_size", "q_group_size", "version", "format", "checkpoint_format", "weight_block_size",
        "load_in_4bit", "bnb_4bit_quant_type")  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    method=st.sampled_from(["awq", "gptq", "bitsandbytes", "fp8", "fbgemm_fp8", None]),
    config=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4),
)
def test_any_configuration_is_read_or_refused(method: str | None, config: dict[str, Any]) -> None:
    try:
        scheme = Scheme(PATH, config | {"quant_method": method})
    except InputError as error:
        told = str(error)
    else:
        told = f"config.json: {scheme.name}"
        assert scheme.name.endswith(("-bit", "per channel")) or "-bit g" in scheme.name
    assert told.startswith("config.json: ")


@pytest.mark.parametrize("kind", ["\x1b[2J", "int4", 4, ["nf4"]], ids=ascii)
def test_a_kind_of_4_bits_that_is_unknown(kind: object) -> None:
    config = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": kind}
    with pytest.raises(MalformedFile, match=r"config\.json: bnb_4bit_quant_type is not nf4 or fp4"):
        Scheme(PATH, config)


def test_compressed_tensors_is_asked_for_its_codec(tmp_path: Path) -> None:
    pytest.importorskip("compressed_tensors")
    config = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 32, "strategy": "group"}}},
    }  # fmt: skip
    assert Scheme(PATH, config).name == "compressed-tensors pack-quantized 4-bit"
    packed = {"weight_packed": stored(np.zeros((4, 4), np.int32))}
    assert getattr(codec(tmp_path, config, packed), "format") == "pack-quantized"  # noqa: B009
    scaled = {
        "weight": stored(np.zeros((4, 4), np.int8)),
        "weight_scale": stored(np.ones((4, 1), np.float32)),
    }
    assert type(codec(tmp_path, config, scaled)).__name__ == "CompressedTensors"
    assert isinstance(codec(tmp_path, config, FLOATS), Plain)


@pytest.mark.parametrize(
    "config",
    [
        {"quant_method": "compressed-tensors"},
        {"quant_method": "compressed-tensors", "config_groups": {}},
        {"quant_method": "compressed-tensors", "config_groups": []},
        {"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": "x"}}}},
        {"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": 5}}},
        {"quant_method": "compressed-tensors", "config_groups": {"NO_SUCH_PRESET": ["Linear"]}},
    ],
    ids=["nothing", "no groups", "a list", "bits of text", "targets of a number", "unknown preset"],
)  # fmt: skip
def test_configurations_that_compressed_tensors_refuses(config: dict[str, Any]) -> None:
    pytest.importorskip("compressed_tensors")
    with pytest.raises(MalformedFile, match=r"config\.json: compressed-tensors does not understand it"):
        Scheme(PATH, config)


def test_main_parts_are_parts() -> None:
    assert set(MAIN_PARTS) < PARTS


METHODS: list[dict[str, Any] | None] = [
    None,
    AWQ | {"group_size": 8},
    AWQ | {"group_size": -1, "version": "gemv"},
    GPTQ | {"group_size": 8},
    GPTQ | {"bits": 3, "group_size": -1},
    {"quant_method": "fp8", "weight_block_size": [2, 4]},
    {"quant_method": "bitsandbytes", "load_in_4bit": True},
]


@pytest.mark.parametrize("config", METHODS, ids=lambda config: str(config and config["quant_method"]))
@FUZZED
@given(parts=any_parts(tuple(sorted(PARTS))))
def test_any_parts_decode_or_are_refused(
    tmp_path: Path, config: dict[str, Any] | None, parts: dict[str, Stored]
) -> None:
    decode_if_it_may(lambda module: Scheme(PATH, config).codec_for(module), tmp_path / "x", parts)
