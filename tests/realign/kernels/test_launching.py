import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from qaudit.errors import InputError  # noqa: E402
from realign.kernels.launching import (  # noqa: E402
    ASSUMED_ARCHITECTURE,
    Launch,
    architecture_of,
    check_same_device,
    power_of_two,
    quotient,
    runs_on,
)


class Recorder:
    """In a kernel's place: what it is started with."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, dict[str, object]]] = []

    def __getitem__(self, grid: object) -> object:
        return lambda **given: self.seen.append((grid, given))


def test_a_launch_starts_its_kernel_with_all_that_it_says() -> None:
    kernel, tensor = Recorder(), torch.ones(3)
    Launch(kernel, 7, {"x": tensor, "n": 3}, {"SIZE": 16}, warps=2, stages=1).run()
    options = {"num_warps": 2, "num_stages": 1, "enable_fp_fusion": False}
    assert kernel.seen == [((7,), {"x": tensor, "n": 3, "SIZE": 16, **options})]


def test_nothing_is_started_for_nothing() -> None:
    kernel = Recorder()
    Launch(kernel, 0, {"x": torch.ones(0)}, {}, warps=1).run()
    assert kernel.seen == []


def test_no_kernel_runs_on_a_processor() -> None:
    assert not runs_on(torch.ones(1))
    assert architecture_of(torch.ones(1)) == ASSUMED_ARCHITECTURE


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_kernels_run_on_a_gpu() -> None:
    assert runs_on(torch.ones(1, device="cuda"))
    assert architecture_of(torch.ones(1, device="cuda")) >= 80


def test_tensors_on_several_devices_are_refused() -> None:
    check_same_device(torch.ones(1), torch.zeros(2))
    with pytest.raises(InputError, match="tensors on cpu and meta: move them"):
        check_same_device(torch.ones(1), torch.ones(1, device="meta"))


def test_pieces_and_powers() -> None:
    assert [quotient(amount, 4) for amount in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert [power_of_two(amount) for amount in (1, 2, 3, 4, 5, 1023)] == [1, 2, 4, 4, 8, 1024]


def test_triton_is_not_imported_for_references() -> None:
    # machines without NVIDIA GPUs have no triton
    code = """
import sys
import torch
sys.modules["triton"] = None
from realign.kernels import code_histogram, class_scatter, group_fake_quant, int4_packing, separation_loss, w4a16_matmul
ends = torch.ones(1, 1)
assert group_fake_quant.group_fake_quant(torch.ones(1, 4), -ends, ends, 4, False).shape == (1, 4)
assert code_histogram.code_histogram(torch.zeros(1, 4, dtype=torch.uint8), 2).tolist() == [[4, 0, 0, 0]]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
