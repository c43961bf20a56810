"""The check itself: machine code for GPUs that are not here, and spills that are seen."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

import triton  # noqa: E402
import triton.language as tl  # noqa: E402

from realign.kernels.compiling import ARCHITECTURES, compiled  # noqa: E402
from realign.kernels.launching import Launch  # noqa: E402


@triton.jit
def copy_kernel(source, target, length, factor, SIZE: tl.constexpr):  # noqa: ANN001, ANN201
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    values = tl.load(source + at, mask=at < length)
    tl.store(target + at, values * factor, mask=at < length)


@triton.jit
def scan_kernel(source, target, SIZE: tl.constexpr):  # noqa: ANN001, ANN201
    at = tl.arange(0, SIZE)
    values = tl.load(source + at)
    total = tl.sum(values, axis=0)
    tl.store(target + at, values * total)


def tensor(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(1 << 16, dtype=dtype, device="meta")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_code_for_an_architecture(architecture: int) -> None:
    arguments = {"source": tensor(), "target": tensor(torch.float16), "length": 1 << 40, "factor": 0.5}
    made = compiled(Launch(copy_kernel, 1, arguments, {"SIZE": 1024}, warps=4), architecture)
    assert made.cubin.startswith(b"\x7fELF")
    assert (made.name, made.architecture) == ("copy_kernel", architecture)
    assert 0 < made.registers <= 255
    assert not made.spills


def test_code_for_other_architectures_is_other_code() -> None:
    launch = Launch(
        copy_kernel, 1, {"source": tensor(), "target": tensor(), "length": 1, "factor": 2.0}, {"SIZE": 64}, 1
    )
    assert len({compiled(launch, architecture).cubin for architecture in (80, 90)}) == 2


def test_registers_that_spill_are_seen() -> None:
    # all values must be kept until their sum is known: 512 a thread
    launch = Launch(scan_kernel, 1, {"source": tensor(), "target": tensor()}, {"SIZE": 1 << 14}, warps=1)
    made = compiled(launch, 80)
    assert made.spills
    assert made.stack_bytes >= 512
