"""How far rounding alone takes weights from what they were, for each way of storing them.

The stored type gives bits and the number of weights that share a scale; the reference's own rows,
rounded to nearest on such a grid, give the error that an honest quantizer would leave. A scale search
leaves less and GPTQ, which moves weights to mend outputs, more: see `EXCESS` of `qaudit.weights.residuals`.

Floats are rounded by others before: a file of 32 or 16 bits may hold what was once BF16 (`trips_of`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.raw_tensors import FloatArray

SAMPLE_ROWS = 64


@dataclass(frozen=True, slots=True)
class RoundingGrid:
    """A way of storing weights, as far as its error goes.

    Attributes:
        bits: of a code; what a float type has as mantissa, sign included, where `floating`.
        group: weights that share a scale; 0 for all of a row.
        symmetric: around zero; otherwise from the smallest to the largest weight.
        floating: the spacing grows with the weight, as in a float.
        mending: whoever rounded may have moved other weights to mend outputs, as GPTQ does.
    """

    bits: float
    group: int
    symmetric: bool = False
    floating: bool = False
    mending: bool = False

    def error(self, rows: FloatArray) -> float:
        """Return the relative error, ||rounded - rows|| / ||rows||, of rounding rows to nearest.

        Shapes:
            rows [R, I].
        """
        size = float(np.square(rows, dtype=np.float64).sum())
        if not size:
            return 0.0
        if self.floating:
            # a step is 2^(1 - bits) of the power of two below the weight: on average 0.72 of the weight
            return float(0.72 * 2 ** (1 - self.bits) / np.sqrt(12))
        return float(np.sqrt(np.square(self.rounded(rows) - rows, dtype=np.float64).sum() / size))

    def rounded(self, rows: FloatArray) -> FloatArray:
        """Return rows rounded to nearest; not for floating grids, whose error is known without.

        Shapes:
            rows and result [R, I].
        """
        group = self.group or rows.shape[1]
        padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % group)), mode="edge")
        grouped = padded.reshape(len(rows), -1, group)
        if self.symmetric:
            reach = 2 * np.abs(grouped).max(axis=-1, keepdims=True)
        else:
            reach = np.maximum(grouped.max(axis=-1, keepdims=True), 0) - np.minimum(
                grouped.min(axis=-1, keepdims=True), 0
            )
        step = np.maximum(reach / (2**self.bits - 1), np.finfo(np.float32).tiny)
        nearest: FloatArray = (np.rint(grouped / step) * step).astype(np.float32)
        return nearest.reshape(len(rows), -1)[:, : rows.shape[1]]


PLAIN = {
    "F64": RoundingGrid(53, 0, floating=True),
    "F32": RoundingGrid(24, 0, floating=True),
    "F16": RoundingGrid(11, 0, floating=True),
    "BF16": RoundingGrid(8, 0, floating=True),
    "F8_E4M3": RoundingGrid(4, 0, floating=True),
    "F8_E5M2": RoundingGrid(3, 0, floating=True),
}
# ggml's types by bits of a code and weights that share a scale; codebooks by the bits that they amount to
GGML = {
    "Q8_0": RoundingGrid(8, 32, symmetric=True), "Q8_K": RoundingGrid(8, 256, symmetric=True),
    "Q6_K": RoundingGrid(6, 16, symmetric=True), "Q5_K": RoundingGrid(5, 32), "Q5_1": RoundingGrid(5, 32),
    "Q5_0": RoundingGrid(5, 32, symmetric=True), "Q4_K": RoundingGrid(4, 32), "Q4_1": RoundingGrid(4, 32),
    "Q4_0": RoundingGrid(4, 32, symmetric=True), "IQ4_NL": RoundingGrid(4, 32), "IQ4_XS": RoundingGrid(4, 32),
    "Q3_K": RoundingGrid(3, 16, symmetric=True), "Q2_K": RoundingGrid(2, 16),
    "IQ3_S": RoundingGrid(3, 32, symmetric=True), "IQ3_XXS": RoundingGrid(2.8, 32, symmetric=True),
    "IQ2_S": RoundingGrid(2.2, 16, symmetric=True), "IQ2_XS": RoundingGrid(2.1, 16, symmetric=True),
    "IQ2_XXS": RoundingGrid(1.9, 32, symmetric=True), "IQ1_S": RoundingGrid(1.6, 32, symmetric=True),
    "IQ1_M": RoundingGrid(1.6, 16, symmetric=True), "TQ1_0": RoundingGrid(1.58, 256, symmetric=True),
    "TQ2_0": RoundingGrid(1.58, 256, symmetric=True), "MXFP4": RoundingGrid(3.6, 32, symmetric=True),
}  # fmt: skip

# of folders whose quantizers may be GPTQ's
MENDING = ("gptq", "compressed-tensors")


def trips_of(grid: RoundingGrid) -> tuple[Callable[[FloatArray], FloatArray], ...]:
    """Return the roundings that weights may have been through on their way to a float type, beside its own.

    A checkpoint of F32 is often BF16 widened. An 8-bit float without a scale has no small numbers.
    """
    if not grid.floating:
        return ()
    return (_as_bfloat16, _as_float16) if grid.bits > PLAIN["BF16"].bits else (_as_float16, _as_e4m3)


def _as_bfloat16(rows: FloatArray) -> FloatArray:
    bits = np.ascontiguousarray(rows, np.float32).view(np.uint32)
    nearest: FloatArray = ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
    return nearest


def _as_float16(rows: FloatArray) -> FloatArray:
    return rows.astype(np.float16).astype(np.float32)


def _as_e4m3(rows: FloatArray) -> FloatArray:
    # three bits after the first one, and steps of 2^-9 under 2^-6
    exponent = np.maximum(np.frexp(rows)[1] - 1, -6)
    step = np.ldexp(np.float32(1), exponent - 3)
    rounded: FloatArray = np.clip(np.rint(rows / step) * step, -448, 448).astype(np.float32)
    return rounded


def grid_of(checkpoint: Checkpoint, stored: str) -> RoundingGrid | None:
    """Return the grid of a module that a checkpoint stores as a type; None where it is not known."""
    if stored in PLAIN:
        return PLAIN[stored]
    if not isinstance(checkpoint, HfCheckpoint):
        return GGML.get(stored)
    return _folder_grid(checkpoint.quantization_config or {})


def _folder_grid(config: Mapping[str, Any]) -> RoundingGrid | None:
    if str(config.get("quant_method")) == "bitsandbytes":
        four = bool(config.get("load_in_4bit") or config.get("_load_in_4bit"))
        return RoundingGrid(4, 64) if four else RoundingGrid(8, 0, symmetric=True)
    weights = _shared_weights(config)
    if weights is None:
        return None
    bits = weights.get("bits") or weights.get("w_bit") or weights.get("num_bits")
    group = weights.get("group_size") or weights.get("q_group_size") or 0
    if not isinstance(bits, int) or not 0 < bits <= 8 or not isinstance(group, int):
        return None
    symmetric = bool(weights.get("sym", weights.get("symmetric", False)))
    mending = str(config.get("quant_method")) in MENDING
    return RoundingGrid(bits, max(group, 0), symmetric=symmetric, mending=mending)


def _shared_weights(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return compressed-tensors' description of weights; for other methods the configuration itself.

    None where its groups of modules have several: which of them a module has is not known here.
    """
    groups = config.get("config_groups")
    if not isinstance(groups, Mapping):
        return config
    told = [
        group["weights"] for group in groups.values() if isinstance(group, Mapping) and "weights" in group
    ]
    found = [weights for weights in told if isinstance(weights, Mapping)]
    if not found:
        return config
    names = ("num_bits", "group_size", "symmetric", "type")
    alike = all(
        [other.get(name) for name in names] == [found[0].get(name) for name in names] for other in found
    )
    return found[0] if alike else None
