"""compressed-tensors, decoded by its own library: packed and plain integers, floats, NVFP4, MXFP4.

Format: https://github.com/vllm-project/compressed-tensors. Needs torch. The library's compressors are
asked module by module, so that no more than one matrix lies in memory.
"""

import math
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from qaudit.checkpoints.codecs.bit_packing import words_for
from qaudit.checkpoints.codecs.module_parts import ModuleParts
from qaudit.checkpoints.raw_tensors import BITS, FloatArray, RawTensor
from qaudit.errors import InputError, MissingExtra

try:
    import torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
except ImportError as error:
    raise MissingExtra("compressed-tensors", "hf") from error

MAX_WAYS = 22  # as a power of two
_TORCH = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "BOOL": torch.bool, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu,
}  # fmt: skip
_PACKED = ("weight_packed", "weight")
# of these the first dimension is the outputs, wherever it has their length
_SCALES = ("weight_scale", "weight_zero_point")
_BY_OUTPUT = ("weight_packed", "weight", "weight_scale", "weight_zero_point", "weight_g_idx")


class Groups:
    """The config's groups of modules, each with the scheme that its members share.

    Raises:
        ValueError: the library does not understand the configuration.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        parsed = QuantizationConfig.model_validate(config)
        self.format = str(parsed.format)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", self.format):
            raise ValueError(f"format {self.format[:40]!a} is no name")
        self._schemes = [s for s in parsed.config_groups.values() if isinstance(s, QuantizationScheme)]
        if not self._schemes:
            raise ValueError("config_groups is empty")

    @property
    def bits(self) -> str:
        """Bits of weights over all groups, such as "4-bit"."""
        known = sorted({s.weights.num_bits for s in self._schemes if s.weights})
        return "/".join(map(str, known)) + "-bit"

    def codec_for(self, parts: ModuleParts) -> "CompressedTensors":
        """Return the codec of one module.

        Raises:
            MalformedFile: no group has it, or its format is not known to the library.
        """
        scheme = next((s for s in self._schemes if self._has(s, parts)), None)
        if scheme is None or scheme.weights is None:
            raise parts.malformed("is compressed, but no group of the quantization_config has it")
        name = str(getattr(scheme.format, "value", scheme.format) or self.format)
        if name not in BaseCompressor.registered_names():
            raise parts.malformed(f"the format {name[:40]!r} is not known to compressed-tensors here")
        return CompressedTensors(name, scheme)

    def _has(self, scheme: QuantizationScheme, parts: ModuleParts) -> bool:
        if len(self._schemes) == 1:
            return True
        return any(_matches(target, parts) for target in scheme.targets)


@dataclass(frozen=True, slots=True)
class CompressedTensors:
    """One module in one of the library's formats."""

    format: str
    scheme: QuantizationScheme

    def shape(self, parts: ModuleParts) -> tuple[int, int]:
        """Return (outputs, inputs); see `Codec`."""
        packed = _packed(parts)
        parts.require(packed, _TORCH.keys(), (None, None))
        outputs, words = parts.shape(packed)
        weights = self._weights(parts)
        room = words * BITS[parts.dtype(packed)]
        inputs = room // weights.num_bits
        if "weight_shape" in parts:
            parts.require("weight_shape", {"I64", "I32"}, (2,))
            told = [int(v) for v in parts.read("weight_shape").array()]
            bits = told[1] * weights.num_bits
            if told[0] != outputs or not 0 < bits <= room or room - bits >= 32:
                raise parts.malformed(
                    f"weight_shape {told[0]}x{told[1]} does not fit {packed} {outputs}x{words}"
                )
            inputs = told[1]
        self._require_scales(parts, outputs, inputs)
        if "weight_g_idx" in parts:
            self._require_order(parts, inputs)
        return outputs, inputs

    def _weights(self, parts: ModuleParts) -> QuantizationArgs:
        if self.scheme.weights is None:
            raise parts.malformed("its group quantizes no weights")
        return self.scheme.weights

    def _require_scales(self, parts: ModuleParts, outputs: int, inputs: int) -> None:
        # torch would spread a scale that is too small over all that it divides
        weights = self._weights(parts)
        strategy = str(getattr(weights.strategy, "value", weights.strategy))
        if strategy in ("group", "tensor_group"):
            fitting: set[tuple[int, ...]] = {(outputs, -(-inputs // (weights.group_size or inputs)))}
        elif strategy == "block":
            height, width = weights.block_structure or (outputs, inputs)
            fitting = {(-(-outputs // height), -(-inputs // width))}
        elif strategy == "channel":
            fitting = {(outputs, 1), (outputs,)}
        else:
            fitting = {(), (1,), (1, 1)}
        scale = parts.shape("weight_scale")
        if scale not in fitting:
            raise parts.malformed(f"weight_scale {scale} is not by {strategy} of {outputs}x{inputs}")
        if "weight_zero_point" in parts:
            words = words_for(outputs, weights.num_bits)
            if parts.shape("weight_zero_point") not in {scale, (words, *scale[1:])}:
                raise parts.malformed(f"weight_zero_point {parts.shape('weight_zero_point')} does not fit")

    def _require_order(self, parts: ModuleParts, inputs: int) -> None:
        # files of old versions name the group of each input; the library would pass over it in silence
        parts.require("weight_g_idx", {"I32", "I64"}, (inputs,))
        given = parts.read("weight_g_idx").array()
        group = self._weights(parts).group_size or inputs
        if not (given == -1).all() and not (given == np.arange(inputs) // group).all():
            raise parts.malformed("its inputs are shuffled (weight_g_idx), which is not read here")

    def rows(self, parts: ModuleParts, start: int, stop: int) -> FloatArray:
        """Decode rows; see `Codec`."""
        outputs, inputs = self.shape(parts)
        # a packed zero point holds several outputs a word, a block several rows: then all is decoded
        whole = any(parts.shape(p)[:1] != (outputs,) for p in _SCALES if p in parts)
        first, last = (0, outputs) if whole else (start, stop)
        state: dict[str, Any] = {}
        for part in parts.held:
            by_output = part in _BY_OUTPUT and parts.shape(part)[:1] == (outputs,)
            state[part] = _tensor(parts.read(part, first, last) if by_output else parts.read(part))
        if "weight_shape" in parts:
            state["weight_shape"] = torch.tensor([last - first, inputs])
        compressor: Any = BaseCompressor.get_value_from_registry(self.format)
        try:
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                weight = compressor.decompress(state, self.scheme)["weight"].float().numpy()
        except (
            RuntimeError,
            ValueError,
            TypeError,
            AssertionError,
            KeyError,
            IndexError,
            AttributeError,
        ) as error:
            # the library checks shapes by running into them
            raise parts.malformed(
                f"compressed-tensors cannot decode it ({str(error).splitlines()[:1]})"
            ) from error
        if weight.shape != (last - first, inputs):
            raise parts.malformed(f"decodes to {weight.shape}, not {last - first}x{inputs}")
        decoded: FloatArray = np.ascontiguousarray(weight[start - first : stop - first], np.float32)
        return decoded


def _packed(parts: ModuleParts) -> str:
    return next((part for part in _PACKED if part in parts), _PACKED[0])


def _tensor(raw: RawTensor) -> torch.Tensor:
    if raw.dtype not in _TORCH:
        raise InputError(f"a part of type {raw.dtype} is not known to compressed-tensors; download it again")
    if not raw.data:
        return torch.empty(raw.shape, dtype=_TORCH[raw.dtype])
    return torch.frombuffer(bytearray(raw.data), dtype=_TORCH[raw.dtype]).reshape(raw.shape)


def _matches(target: str, parts: ModuleParts) -> bool:
    if not target.startswith("re:"):
        return target in ("Linear", parts.module)
    pattern = target.removeprefix("re:")
    # a pattern out of a stranger's file could take for ever: bound the ways in which it can match
    loops, choices = (sum(pattern.count(sign) for sign in signs) for signs in ("*+{", "?|"))
    ways = math.log2(len(parts.module) + 1) * loops + choices
    if ways > MAX_WAYS or re.search(r"\)[*+{?]", pattern):
        raise parts.malformed("the quantization_config has a pattern that could take for ever; name modules")
    try:
        return re.match(pattern, parts.module) is not None
    except (re.error, OverflowError, RecursionError) as error:
        raise parts.malformed(f"the quantization_config has a broken pattern ({error})") from error
