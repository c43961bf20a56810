"""How a kernel is started: everything that one launch needs, as a value that can be run or only compiled."""

import importlib.util
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from qaudit.errors import InputError

OLDEST_ARCHITECTURE = 80
# what a launch is laid out for where there is no GPU: under Triton's interpreter, and on meta tensors
ASSUMED_ARCHITECTURE = 90


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of a Triton kernel.

    Attributes:
        kernel: a function under `triton.jit`.
        programs: how many of its programs run; the grid has one dimension.
        arguments: tensors and numbers, by the kernel's argument names.
        constants: those arguments that are compiled in.
        warps: of a program.
        stages: of the software pipeline of its loops.
    """

    kernel: Any
    programs: int
    arguments: Mapping[str, Tensor | int | float]
    constants: Mapping[str, int | bool]
    warps: int
    stages: int = 2

    @property
    def options(self) -> dict[str, int | bool]:
        """What the compiler is told. Multiply-adds are not fused: torch rounds between the two."""
        return {"num_warps": self.warps, "num_stages": self.stages, "enable_fp_fusion": False}

    def run(self) -> None:
        """Start it on the device of its tensors."""
        if not self.programs:
            return
        device = next(each.device for each in self.arguments.values() if isinstance(each, Tensor))
        # triton starts kernels on the current device, wherever the tensors are
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            self.kernel[(self.programs,)](**self.arguments, **self.constants, **self.options)


def runs_on(tensor: Tensor) -> bool:
    """Return whether kernels run where a tensor is: an NVIDIA GPU of the Ampere generation or newer."""
    if not tensor.is_cuda or torch.version.cuda is None or not _triton_is_here():
        return False
    return architecture_of(tensor) >= OLDEST_ARCHITECTURE


def architecture_of(tensor: Tensor) -> int:
    """Return the compute capability of a tensor's GPU, 90 for 9.0; launch tables are keyed by it."""
    if not tensor.is_cuda:
        return ASSUMED_ARCHITECTURE
    major, minor = torch.cuda.get_device_capability(tensor.device)
    return 10 * major + minor


def check_same_device(*tensors: Tensor) -> None:
    """See to it that a kernel can read all of them.

    Raises:
        InputError: they are on several devices.
    """
    places = sorted({str(tensor.device) for tensor in tensors})
    if len(places) > 1:
        raise InputError(f"tensors on {' and '.join(places)}: move them to one device")


def quotient(amount: int, size: int) -> int:
    """Return how many pieces of a size cover an amount."""
    return -(-amount // size)


def power_of_two(amount: int) -> int:
    """Return the smallest power of two that is not below an amount of at least one."""
    return 1 << (amount - 1).bit_length()


@cache
def _triton_is_here() -> bool:
    return importlib.util.find_spec("triton") is not None
