"""Which codec a module of a Hugging Face checkpoint needs: from its parts, and from the configuration."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qaudit.checkpoints.codecs.awq import AwqGemm, AwqGemv
from qaudit.checkpoints.codecs.bit_packing import SUPPORTED_BITS
from qaudit.checkpoints.codecs.bitsandbytes import KINDS, STATE, EightBit, FourBit
from qaudit.checkpoints.codecs.fp8 import STORED, Fp8
from qaudit.checkpoints.codecs.gptq import Gptq
from qaudit.checkpoints.codecs.module_parts import Codec, ModuleParts
from qaudit.checkpoints.codecs.plain import Plain
from qaudit.errors import InputError, MalformedFile

# every name by which a scheme stores a part of a module
PARTS = frozenset({
    "weight", "qweight", "weight_packed",
    "qzeros", "scales", "g_idx",
    "weight_scale", "weight_scale_inv", "weight_zero_point", "weight_shape", "weight_g_idx",
    "weight_global_scale", "input_scale", "input_global_scale", "input_zero_point",
    "SCB", "weight_format",
    "weight.absmax", "weight.quant_map", "weight.nested_absmax", "weight.nested_quant_map",
    *(STATE + kind for kind in KINDS),
})  # fmt: skip
MAIN_PARTS = ("weight", "qweight", "weight_packed")
MAX_GROUP = 1 << 20


class Scheme:
    """How a checkpoint says that it is quantized.

    Attributes:
        name: for people, such as "AWQ 4-bit g128"; "none" without a quantization_config.

    Raises:
        MalformedFile: the configuration is not what its method requires.
        InputError: a method or layout that is not read here.
    """

    def __init__(self, path: Path, config: Mapping[str, Any] | None) -> None:
        self._path = path
        self.name = "none"
        self._packed: Callable[[ModuleParts], Codec] | None = None
        if config is None:
            return
        method = str(config.get("quant_method") or ("awq" if "w_bit" in config else "gptq")).lower()
        readers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "awq": self._awq,
            "gptq": self._gptq,
            "compressed-tensors": self._compressed_tensors,
            "bitsandbytes": self._bitsandbytes,
            "fp8": self._fp8,
            "fbgemm_fp8": self._fp8,
        }
        if method not in readers:
            raise InputError(
                f"{path}: quantization method {method[:40]!r} is not read here; known: {', '.join(readers)}"
            )
        readers[method](config)

    def codec_for(self, parts: ModuleParts) -> Codec:
        """Return the codec of one module.

        Raises:
            MalformedFile: its parts belong to no scheme, or to another one than the configuration's.
        """
        if "qweight" in parts or "weight_packed" in parts:
            if self._packed is None:
                raise parts.malformed("is packed, but the configuration names no way to unpack it")
            return self._packed(parts)
        dtype = parts.dtype("weight")
        if "weight.absmax" in parts or any(STATE + kind in parts for kind in KINDS):
            return FourBit()
        if "SCB" in parts:
            return EightBit()
        scaled = "weight_scale" in parts or "weight_scale_inv" in parts
        if scaled and self._packed is not None:
            return self._packed(parts)
        if scaled and dtype in STORED:
            return Fp8()
        if scaled:
            raise parts.malformed(f"{dtype} with a scale, but the configuration names no way to read it")
        return Plain()

    def _awq(self, config: Mapping[str, Any]) -> None:
        bits = self._whole(config, ("bits", "w_bit"), 4)
        if bits != 4:
            raise self._malformed(f"AWQ of {bits} bits; AWQ has 4")
        group = self._group(config, ("group_size", "q_group_size"))
        layout = str(
            config.get("checkpoint_format") or config.get("format") or config.get("version") or "gemm"
        )
        layouts: dict[str, Codec] = {"gemm": AwqGemm(group), "gemv": AwqGemv(group)}
        codec = layouts.get(layout.lower())
        if codec is None:
            raise InputError(f"{self._path}: AWQ layout {layout[:40]!r} is not read here; known: gemm, gemv")
        self._packed = lambda _: codec
        self.name = f"AWQ {bits}-bit {_shown(group)}"

    def _gptq(self, config: Mapping[str, Any]) -> None:
        bits = self._whole(config, ("bits",), None)
        if bits not in SUPPORTED_BITS:
            raise self._malformed(f"GPTQ of {bits} bits; known: {', '.join(map(str, SUPPORTED_BITS))}")
        group = self._group(config, ("group_size",))
        layout = str(config.get("checkpoint_format") or config.get("format") or "gptq").lower()
        if layout not in ("gptq", "gptq_v2"):
            raise InputError(
                f"{self._path}: GPTQ layout {layout[:40]!r} is not read here; known: gptq, gptq_v2"
            )
        codec = Gptq(bits, group, zeros_less_one=layout == "gptq")
        self._packed = lambda _: codec
        self.name = f"GPTQ {bits}-bit {_shown(group)}"

    def _compressed_tensors(self, config: Mapping[str, Any]) -> None:
        # torch takes seconds to import and is an extra: only who has such a checkpoint needs it
        module = importlib.import_module("qaudit.checkpoints.codecs.compressed_tensors")
        try:
            groups = module.Groups(dict(config))
        except (ValueError, TypeError, KeyError, NotImplementedError) as error:
            problem = " ".join(str(error).split())[:160]
            raise self._malformed(f"compressed-tensors does not understand it ({problem})") from error
        self._packed = groups.codec_for
        self.name = f"compressed-tensors {groups.format} {groups.bits}"

    def _bitsandbytes(self, config: Mapping[str, Any]) -> None:
        four = config.get("load_in_4bit") or config.get("_load_in_4bit")
        kind = config.get("bnb_4bit_quant_type") or "fp4"
        if four and kind not in KINDS:
            raise self._malformed(f"bnb_4bit_quant_type is not {' or '.join(KINDS)}")
        self.name = f"bitsandbytes {kind} 4-bit" if four else "bitsandbytes int8 8-bit"

    def _fp8(self, config: Mapping[str, Any]) -> None:
        block = config.get("weight_block_size") or [128, 128]
        if not isinstance(block, list) or len(block) != 2:
            raise self._malformed("weight_block_size is not two lengths")
        sizes = [self._whole({"weight_block_size": size}, ("weight_block_size",), None) for size in block]
        if min(sizes) < 1:
            raise self._malformed("weight_block_size is not two lengths")
        codec = Fp8((sizes[0], sizes[1]))
        self._packed = lambda _: codec
        self.name = "FP8 8-bit"

    def _group(self, config: Mapping[str, Any], names: tuple[str, ...]) -> int:
        group = self._whole(config, names, 128)
        if group != -1 and not 0 < group <= MAX_GROUP:
            raise self._malformed(f"{names[0]} {group} is not a number of inputs, nor -1 for all")
        return group

    def _whole(self, config: Mapping[str, Any], names: tuple[str, ...], default: int | None) -> int:
        value = next((config[name] for name in names if config.get(name) is not None), default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._malformed(f"quantization_config: {names[0]} is not a whole number")
        return value

    def _malformed(self, problem: str) -> MalformedFile:
        return MalformedFile(self._path, problem)


def _shown(group: int) -> str:
    return "per channel" if group == -1 else f"g{group}"
