"""A decoder block that is learned together with its rounding.

Beside its matrices a block has a scale for each channel between a writer and its readers (LET of
OmniQuant, AWQ's scales): readers multiply by it, the norm or linear layer before them divides, so that
the float block computes the same and only what is rounded changes. It all ends up in the weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from realign.calibration_activations import Call
from realign.decoder_blocks import STAGES, Stage, foldable, linear
from realign.grids.grid import Grid
from realign.solvers.rounded_inputs import inputs_rounded
from realign.solvers.rounded_matrix import RoundedMatrix
from realign.solvers.settled import Settled

# natural logs of scales stay within this: beyond it norms would leave float16
LARGEST_LOG = 3.0


class RoundedBlock:
    """A block's learned parts; the block itself is not changed.

    Args:
        block: float32.
        grids: of its linear layers, by name within the block; the others stay float.
        importance: mean of x^2 of each linear layer's inputs, float32 [I].
        transform: whether scales between writers and readers are learned.
        input_bits: of what linear layers are given; None for floats.
    """

    def __init__(
        self,
        block: nn.Module,
        grids: Mapping[str, Grid],
        importance: Mapping[str, Tensor],
        *,
        transform: bool,
        input_bits: int | None = None,
    ) -> None:
        self.block = block
        self._input_bits = input_bits
        self.matrices = {
            name: RoundedMatrix.searched(linear(block, name).weight, grid, importance.get(name))
            for name, grid in grids.items()
        }
        # a scale is of use only where all that it touches is learned here
        stages = [stage for stage in STAGES if transform and self._whole(stage)]
        self._logs = {
            stage: nn.Parameter(torch.zeros_like(linear(block, stage.linears[0]).weight[0]))
            for stage in stages
        }

    @property
    def scales(self) -> list[nn.Parameter]:
        """Natural logs of the scales."""
        return list(self._logs.values())

    @property
    def weights(self) -> list[nn.Parameter]:
        """Weights before they are rounded."""
        return [matrix.weight for matrix in self.matrices.values()]

    @property
    def ends(self) -> list[nn.Parameter]:
        """Where ranges end."""
        return [matrix.ends for matrix in self.matrices.values()]

    def run(self, hidden: Tensor, arguments: Mapping[str, Any]) -> Tensor:
        """Return what the rounded block writes, with gradients: [B, T, D]."""
        return run_with(self.block, self._parameters(), hidden, arguments, self._input_bits)

    @torch.no_grad()
    def settled(self) -> Settled:
        """Return the learned parts by name within the block, scales folded in."""
        scales = self._scales()
        matrices = {}
        for name, matrix in self.matrices.items():
            read, written = self._scales_of(name, scales)
            matrices[name] = matrix.settled(read, written)
        return Settled(matrices, {name: value.clone() for name, value in self._floats(scales).items()})

    def _parameters(self) -> dict[str, Tensor]:
        scales = self._scales()
        values = self._floats(scales)
        for name, matrix in self.matrices.items():
            values[f"{name}.weight"] = matrix.rounded(*self._scales_of(name, scales))
        return values

    def _scales(self) -> dict[Stage, Tensor]:
        return {stage: log.clamp(-LARGEST_LOG, LARGEST_LOG).exp() for stage, log in self._logs.items()}

    def _scales_of(self, name: str, scales: Mapping[Stage, Tensor]) -> tuple[Tensor | None, Tensor | None]:
        read = next((scale for stage, scale in scales.items() if name in stage.linears), None)
        written = next((scale for stage, scale in scales.items() if stage.writer == name), None)
        return read, written

    def _floats(self, scales: Mapping[Stage, Tensor]) -> dict[str, Tensor]:
        """Return norms and biases divided by the scales of their readers."""
        values = {}
        for stage, scale in scales.items():
            writer = self.block.get_submodule(stage.writer)
            for name, parameter in writer.named_parameters():
                if parameter.ndim == 1:
                    values[f"{stage.writer}.{name}"] = parameter.detach() / scale
        return values

    def _whole(self, stage: Stage) -> bool:
        if not all(name in self.matrices for name in stage.linears) or not foldable(self.block, stage):
            return False
        return stage.writer in self.matrices or not isinstance(
            self.block.get_submodule(stage.writer), nn.Linear
        )


def run_with(
    block: nn.Module,
    values: Mapping[str, Tensor],
    hidden: Tensor,
    arguments: Mapping[str, Any],
    input_bits: int | None = None,
) -> Tensor:
    """Return what a block writes when some of its parameters have other values: [B, T, D]."""
    with inputs_rounded(block, input_bits):
        result = functional_call(block, dict(values), (hidden,), dict(arguments))
    written: Tensor = result[0] if isinstance(result, tuple) else result
    return written


@torch.no_grad()
def written_by(
    block: nn.Module, values: Mapping[str, Tensor], calls: Sequence[Call], input_bits: int | None = None
) -> list[Tensor]:
    """Return what a block writes in each call when some of its parameters have other values."""
    return [run_with(block, values, call.hidden, call.arguments, input_bits) for call in calls]
